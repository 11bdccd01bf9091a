package pack

import "bytes"

// TarFiles gives the files of a tar archive.
func TarFiles(b []byte) (map[string][]byte, error) {
	t, err := openTar(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for name := range t.files {
		if out[name], err = newContents(t).bytes(name, MaxEntry, RuleEntrySize); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CBORToJSON is the conversion that documents go through.
var CBORToJSON = cborToJSON
