// Package peers holds clients that we did not write, for `make bench-peers`:
// the same files, from the same simulated cluster, on the same machine and in
// the same run as haul. It is a module of its own, so that haul depends on none
// of them. bench/peers.go starts them and measures their processes.
//
// A client is a program with three commands:
//
//	download  fetches the document of message 1 of a channel into a new file
//	upload    sends a file as a document to the channel
//	files     fetches the documents of all messages into a folder
//
// and these flags: --datacenters FILE, --session FILE (kept between runs, so
// that only the first makes keys), --channel NAME, --path PATH,
// --connections N, --threads N (parts or files at once), --part BYTES. gotd's has
// --compress=false and --hash too. It prints one line of JSON: {"bytes": …, "files": …, "seconds": …}, the seconds of the
// transfer alone.
package peers
