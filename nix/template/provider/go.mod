// The tasks of this repository, `go tool mage -l`; see README.md.
module provider.example

go 1.26.0

tool github.com/magefile/mage
