// Answers questions about the layout of structs from a binary's DWARF.
//
// Usage: go run main.go EXE < questions
//
// A question is a line: "field STRUCT PATH", "size STRUCT" or "const NAME". The answers are the same lines with
// "OFFSET SIZE", "SIZE" or "VALUE" behind them; what the binary does not have is left out. This reads DWARF with Go's
// own library, so that objref's reader is not measured with itself.
package main

import (
	"bufio"
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	file, err := elf.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	data, err := file.DWARF()
	if err != nil {
		log.Fatal(err)
	}
	types, constants := index(data)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "field":
			if offset, size, ok := field(types[words[1]], strings.Split(words[2], ".")); ok {
				fmt.Println(lines.Text(), offset, size)
			}
		case "size":
			if t := types[words[1]]; t != nil {
				fmt.Println(lines.Text(), t.Size())
			}
		case "const":
			if value, ok := constants[words[1]]; ok {
				fmt.Println(lines.Text(), value)
			}
		}
	}
}

// index finds the named structs and the constants.
func index(data *dwarf.Data) (map[string]dwarf.Type, map[string]int64) {
	types, constants := map[string]dwarf.Type{}, map[string]int64{}
	for r := data.Reader(); ; {
		entry, err := r.Next()
		if err != nil {
			log.Fatal(err)
		}
		if entry == nil {
			return types, constants
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		switch entry.Tag {
		case dwarf.TagStructType:
			if t, err := data.Type(entry.Offset); err == nil && name != "" {
				types[name] = t
			}
		case dwarf.TagConstant:
			if value, ok := entry.Val(dwarf.AttrConstValue).(int64); ok {
				constants[name] = value
			}
		case dwarf.TagSubprogram:
			r.SkipChildren()
		}
	}
}

// field follows a path of field names from a type.
func field(t dwarf.Type, path []string) (offset, size int64, ok bool) {
	for _, name := range path {
		for {
			typedef, is := t.(*dwarf.TypedefType)
			if !is {
				break
			}
			t = typedef.Type
		}
		s, is := t.(*dwarf.StructType)
		if !is {
			return 0, 0, false
		}
		t = nil
		for _, f := range s.Field {
			if f.Name == name {
				offset, t = offset+f.ByteOffset, f.Type
			}
		}
		if t == nil {
			return 0, 0, false
		}
	}
	return offset, t.Size(), true
}
