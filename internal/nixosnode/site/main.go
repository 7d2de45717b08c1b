// Command site is the web server of an environment on the nodes of tests. Beside
// its text it serves what takes long and must not be cut:
//
//	/            the text of -content
//	/slow?s=N    the text, begun at once and ended after N seconds
//	/upload      the length and the SHA-256 of what is sent
//	/ws          a WebSocket that sends back what it is sent
//	/eat?mb=N    holds N MiB of memory from now on
//	/spin?s=N    uses one processor for N seconds
//	/data/NAME   a file below -data: GET, and PUT
package main

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

func main() {
	socket := flag.String("socket", "", "the socket to listen at")
	content := flag.String("content", "", "the file with the text")
	data := flag.String("data", "", "the folder of /data")
	flag.Parse()
	if err := serve(*socket, *content, *data); err != nil {
		log.Fatal(err)
	}
}

func serve(socket, content, data string) error {
	text, err := os.ReadFile(content)
	if err != nil {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o660); err != nil { // nginx is in its group
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	server := &http.Server{Handler: handler(text, data), ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}

// ready notifies systemd that the socket exists: see sd_notify(3).
func ready() error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte("READY=1"))
	return err
}

func handler(text []byte, data string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		wait(r)
		_, _ = w.Write(text)
	})
	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%d %x\n", n, sum.Sum(nil))
	})
	mux.HandleFunc("/ws", webSocket)
	var mu sync.Mutex
	var held [][]byte
	mux.HandleFunc("/eat", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for range number(r, "mb") {
			block := make([]byte, 1<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1 // or the kernel would not give it
			}
			held = append(held, block)
		}
		fmt.Fprintf(w, "%d MiB\n", len(held))
	})
	mux.HandleFunc("/spin", func(w http.ResponseWriter, r *http.Request) {
		rounds := 0
		for end := time.Now().Add(time.Duration(number(r, "s")) * time.Second); time.Now().Before(end); rounds++ {
			sha256.Sum256(text)
		}
		fmt.Fprintf(w, "%d rounds\n", rounds)
	})
	mux.HandleFunc("/data/{name}", func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join(data, filepath.Base(r.PathValue("name")))
		if r.Method != http.MethodPut {
			http.ServeFile(w, r, path)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = errors.Join(os.MkdirAll(data, 0o700), os.WriteFile(path, body, 0o600))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

func wait(r *http.Request) {
	select {
	case <-time.After(time.Duration(number(r, "s")) * time.Second):
	case <-r.Context().Done():
	}
}

// webSocket speaks as much of RFC 6455 as one that sends back each message
// needs: frames that are not split, of up to 64 KiB.
func webSocket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if r.Header.Get("Upgrade") != "websocket" || key == "" {
		http.Error(w, "this is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	accept := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 has it
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(accept[:]))
	if stream.Flush() != nil {
		return
	}
	for {
		opcode, payload, err := readFrame(stream.Reader)
		if err != nil {
			return
		}
		header := []byte{0x80 | opcode, byte(len(payload))}
		if len(payload) > 125 {
			header = binary.BigEndian.AppendUint16([]byte{0x80 | opcode, 126}, uint16(len(payload)))
		}
		_, _ = stream.Write(append(header, payload...))
		const closed = 8
		if stream.Flush() != nil || opcode == closed {
			return
		}
	}
}

func readFrame(r *bufio.Reader) (opcode byte, payload []byte, err error) {
	header := make([]byte, 2)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, nil, err
	}
	length := int(header[1] & 0x7f)
	switch length {
	case 126:
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint16(long[:]))
	case 127:
		return 0, nil, errors.New("the frame is longer than 64 KiB")
	}
	var mask [4]byte
	if header[1]&0x80 == 0 {
		return 0, nil, errors.New("the frame is not masked")
	}
	if _, err := io.ReadFull(r, mask[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return header[0] & 0x0f, payload, nil
}
