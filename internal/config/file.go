package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// addFile reads a YAML file node by node rather than into a map: a map would forget line numbers and second documents, and could not tell
// a key that is given twice.
func (l *loader) addFile(path string) {
	file := filepath.Base(path)
	data, err := os.ReadFile(path)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		l.fail(&KeyError{Source: path, Problem: "cannot be read: " + err.Error()})
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return // empty, or nothing but comments
	} else if err != nil {
		l.fail(&KeyError{Source: file, Problem: "is no valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")})
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		l.fail(&KeyError{Source: file, Problem: "holds more than one document; put everything into one"})
		return
	}
	l.addNode(file, "", doc.Content[0], make(map[string]int))
}

// addNode walks the sections of a file. seen holds the lines of the keys found so far. It ends for any input, since it follows only
// sections that are declared.
func (l *loader) addNode(file, path string, n *yaml.Node, seen map[string]int) {
	value := n
	if n.Kind == yaml.AliasNode {
		value = n.Alias
	}
	source := fmt.Sprintf("%s:%d", file, n.Line)
	switch inner := path == "" || l.sections[path]; {
	case inner && value.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(value.Content); i += 2 {
			l.addPair(file, path, value.Content[i], value.Content[i+1], seen)
		}
	case inner && value.ShortTag() == "!!null":
		// a section without keys
	case inner && path == "":
		l.fail(&KeyError{Source: source, Problem: "must hold keys and values, as in \"connector: devledger\""})
	case inner:
		l.fail(&KeyError{Key: path, Source: source, Problem: "is a section: indent its keys under it"})
	case l.byName[path] == nil:
		l.unknown(path, source)
	case value.ShortTag() == "!!null":
		// a key without value keeps its default
	default:
		var raw any
		if err := value.Decode(&raw); err != nil {
			l.fail(&KeyError{Key: path, Source: source, Problem: strings.TrimPrefix(err.Error(), "yaml: ")})
			return
		}
		l.values[path] = entry{source: source, raw: raw}
	}
}

func (l *loader) addPair(file, path string, key, value *yaml.Node, seen map[string]int) {
	name := key.Value
	if path != "" {
		name = path + "." + name
	}
	if line, ok := seen[name]; ok {
		l.fail(&KeyError{Key: name, Source: fmt.Sprintf("%s:%d", file, key.Line), Problem: fmt.Sprintf("is given twice, first in line %d", line)})
		return
	}
	seen[name] = key.Line
	l.addNode(file, name, value, seen)
}
