module github.com/tghaul/haul/tl/internal/gen

go 1.26

require github.com/gotd/td v0.161.0
