// Tiny has one of everything that a binary's debugging information can describe.
package main

import (
	"unsafe"

	"example.com/tiny.v1/pkg.v2"
)

type Node struct {
	next *Node
	val  int
	name string
	data []byte
}

type (
	Cache map[string]*Node
	Chain []Node
	Name  string
	Fn    func(int, string) error
	Ch    chan *Node
	Iface interface{ Foo() int }
	Any   any
	Raw   unsafe.Pointer
	Seven int8
)

func (n *Node) Foo() int { return n.val }

type Pair[K comparable, V any] struct {
	k K
	v V
}

type Everything struct {
	*Node
	Pair[string, int]
	f    Fn
	e    error
	a    Any
	i    Iface
	arr  [4]Node
	c    complex128
	raw  Raw
	ch   Ch
	m    Cache
	s    Chain
	n    Name
	anon struct {
		A int
		B string
	}
	seven Seven
	tail  [0]func()
}

var (
	head     *Node
	all      Everything
	closures []func() int
)

const (
	Answer         = 42
	Negative int64 = -7
)

//go:noinline
func work(n *Node, depth int, s string, bs []byte, i Iface) (r int, err error) {
	local := &Node{next: n, val: depth}
	use(local)
	if depth > 0 {
		inner := helper(local, s)
		r, err = work(local, depth-1, s, bs, i)
		use(local)
		return r + inner, err
	}
	use(local)
	return len(bs) + i.Foo(), nil
}

func helper(n *Node, s string) int {
	t := n.next
	use(t)
	if t == nil {
		return len(s)
	}
	return t.val
}

//go:noinline
func use(n *Node) { head = n }

//go:noinline
func makeClosure(x int, s string, n *Node) func() int {
	y := 0
	return func() int {
		y++
		use(n)
		return y + len(s) + x*y
	}
}

//go:noinline
func generic[T any](x T, n int) int {
	list := []T{x}
	use(nil)
	return len(list) + n
}

func main() {
	all.m = Cache{"a": head}
	closures = append(closures, makeClosure(3, "abc", &Node{}))
	r, err := work(&Node{}, 3, "hello", []byte("xyz"), &Node{})
	println(r, err, closures[0](), Answer, Negative, generic("x", 1), generic(&all, 2), pkg.All["x"].Get(), all.seven)
}
