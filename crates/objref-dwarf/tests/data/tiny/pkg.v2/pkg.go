// Package pkg has a dot in the last element of its path, which the toolchain escapes in places.
package pkg

// Dotted is a struct with a tag that must survive.
type Dotted struct {
	A int `json:"a%2eb;{}"`
	B string
}

// All refers to a type of this package.
var All = map[string]*Dotted{"x": {A: 1}}

// Konst is a constant that is used.
const Konst = 4242

// Get uses the constant.
func (d *Dotted) Get() int { return d.A + Konst }
