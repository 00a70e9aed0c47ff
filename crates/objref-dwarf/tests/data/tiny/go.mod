module example.com/tiny.v1

go 1.21
