// Package suite names the packages whose own tests are run against the server (tests/tests/go_kong.rs).
package suite

import (
	_ "github.com/kong/go-kong/kong"
	_ "github.com/kong/go-kong/kong/custom"
)
