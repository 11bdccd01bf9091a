package render

// Section is a list of things that have a value each, and something to say about it.
// The text is our own.
type Section struct {
	Title, About string
	Rows         []Row
}

// Row is one thing of a Section.
type Row struct{ Name, Value, About string }

// Sections writes them one below the other, in columns.
func Sections(list []Section, style Style) string {
	p := &printer{style: style}
	for _, s := range list {
		p.heading(s.Title, p.style.paint(s.About, dim))
		var name, value int
		for _, r := range s.Rows {
			name, value = max(name, columns(r.Name)), max(value, columns(r.Value))
		}
		for _, r := range s.Rows {
			first := "  " + pad(r.Name, name) + "  " + pad(r.Value, value) + "  "
			p.prose(first, columns(first), r.About)
		}
	}
	return p.String()
}
