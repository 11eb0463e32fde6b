// Tells what it saw of each request: echo-go ADDRESS
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

var count atomic.Int64

func main() {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%d %s %s %s %s\n", count.Add(1), r.Method, r.RequestURI, r.Host, hex.EncodeToString(body))
	}
	if err := http.ListenAndServe(os.Args[1], http.HandlerFunc(echo)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
