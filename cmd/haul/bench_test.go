package main

import "testing"

func TestSetKey(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{"", "connections = 4\n"},
		{"# mine\nproxy = \"x\"\n", "# mine\nproxy = \"x\"\nconnections = 4\n"},
		{"proxy = \"x\"", "proxy = \"x\"\nconnections = 4\n"},
		{"a = 1\nconnections = 12 # many\nb = 2\n", "a = 1\nconnections = 4\nb = 2\n"},
		{"  connections=1\r\nb = 2\r\n", "connections = 4\r\nb = 2\r\n"},
		{"# connections = 9\nmax-connections = 3\n", "# connections = 9\nmax-connections = 3\nconnections = 4\n"},
	} {
		if got := setKey(c.before, "connections", "4"); got != c.after {
			t.Errorf("%q becomes %q, want %q", c.before, got, c.after)
		}
	}
}
