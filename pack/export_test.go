package pack

import "bytes"

// ArchiveFiles gives the files of an archive, and checks all of it.
func ArchiveFiles(b []byte) (map[string][]byte, error) {
	src, _, err := openFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	names, err := src.names()
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range names {
		if out[name], err = newContents(src).bytes(name, MaxEntry, RuleEntrySize); err != nil {
			return nil, err
		}
	}
	return out, src.finish(func(string) bool { return false })
}

// InspectBytes is Inspect for an archive in memory.
func InspectBytes(archive []byte, source string, o Options) (*Inspection, error) {
	d, err := openReader(bytes.NewReader(archive), int64(len(archive)), source, o, true)
	if err != nil {
		return nil, err
	}
	return d.inspection(), nil
}

// CBORToJSON is the conversion that documents go through.
var CBORToJSON = cborToJSON
