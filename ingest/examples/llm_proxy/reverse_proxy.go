// Go's reverse proxy, as a peer in the benchmark: `go build -o PROGRAM reverse_proxy.go`.
package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	to, err := url.Parse(os.Args[1])
	if err != nil {
		panic(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2000, 2000
	transport.DisableCompression = true
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval, proxy.Transport = -1, transport
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, proxy))
}
