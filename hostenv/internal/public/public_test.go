package public_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/internal/public"
)

func TestUse(t *testing.T) {
	for _, tt := range []struct {
		address, use string
		listed       bool
	}{
		{"1.1.1.1", "", false},
		{"9.255.255.255", "", false},
		{"11.0.0.0", "", false},
		{"100.63.255.255", "", false},
		{"100.64.0.1", "shared address space, RFC 6598", true},
		{"127.0.0.53", "loopback, RFC 1122", true},
		{"169.254.169.254", "link local, RFC 3927", true},
		{"172.32.0.1", "", false},
		{"223.255.255.255", "", false},
		{"224.0.0.1", "multicast, RFC 5771", false},
		{"239.255.255.250", "multicast, RFC 5771", false},
		{"255.255.255.255", "reserved, RFC 1112", true},
		{"0.0.0.0", "this network, RFC 791", true},
		{"::", "unspecified, RFC 4291", true},
		{"::1", "loopback, RFC 4291", true},
		{"::7f00:1", "IPv4-compatible, RFC 4291", false},
		{"::ffff:127.0.0.1", "loopback, RFC 1122", true},
		{"::ffff:1.1.1.1", "", true},
		{"::ffff:0:7f00:1", "not assigned, RFC 4291", false}, // IPv4-translated, RFC 2765
		{"64:ff9b::a00:1", "private use, RFC 1918", true},
		{"64:ff9b::101:101", "", true},
		{"64:ff9b:1::1", "IPv4-IPv6 translation, RFC 8215", true},
		{"2001::1", "IETF protocol assignments, RFC 2928", true}, // Teredo
		{"2002:7f00:1::1", "6to4, RFC 3056", true},
		{"2606:4700::1111", "", false},
		{"2a00::1%eth0", "", false},
		{"fd00:ec2::254", "unique local, RFC 4193", true},
		{"fe80::1%eth0", "link local, RFC 4291", true},
		{"fec0::1", "site local, RFC 3879", false},
		{"ff02::1", "multicast, RFC 4291", false},
		{"4000::1", "not assigned, RFC 4291", false},
		{"200::1", "not assigned, RFC 4291", false},
	} {
		a := netip.MustParseAddr(tt.address)
		if got := public.Use(a); got != tt.use {
			t.Errorf("the use of %s is %q, want %q", a, got, tt.use)
		}
		if got := public.Listed(a); got != tt.listed {
			t.Errorf("%s is listed: %v", a, got)
		}
		if got := public.Networks(nil).Check(a) == nil; got != (tt.use == "") {
			t.Errorf("%s may be dialled: %v", a, got)
		}
	}
	if public.Use(netip.Addr{}) == "" {
		t.Error("the zero address is public")
	}
}

// A dialer decides on the address, by whatever name it is reached.
func TestDialer(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1", "0.0.0.0"} {
		at := net.JoinHostPort(host, port)
		conn, err := public.Networks(nil).Dialer().DialContext(context.Background(), "tcp", at)
		if refused := (*public.Error)(nil); !errors.As(err, &refused) {
			t.Errorf("%s: %v, %v", at, conn, err)
		}
		allowed := public.Networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("0.0.0.0/32"), netip.MustParsePrefix("::1/128")}
		if conn, err = allowed.Dialer().DialContext(context.Background(), "tcp", at); err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		conn.Close()
	}
}

// FuzzCheck holds that what net/netip calls private, local or multicast is never
// dialled, in whatever form the address is written.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"\x7f\x00\x00\x01", "\x01\x01\x01\x01", "\xfe\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, ok := netip.AddrFromSlice(data)
		if !ok {
			return
		}
		forms := []netip.Addr{a}
		if a.Is4() {
			four := a.As4()
			forms = append(forms, netip.AddrFrom16(a.As16()), // IPv4-mapped
				netip.AddrFrom16([16]byte{0: 0, 1: 0x64, 2: 0xff, 3: 0x9b, 12: four[0], 13: four[1], 14: four[2], 15: four[3]}))
		} else {
			forms = append(forms, a.WithZone("eth0"))
		}
		plain := a.Unmap()
		local := plain.IsPrivate() || plain.IsLoopback() || plain.IsMulticast() || plain.IsLinkLocalUnicast() || plain.IsUnspecified() || !plain.IsGlobalUnicast()
		for _, form := range forms {
			allowed := public.Networks(nil).Allow(form)
			if local && allowed {
				t.Errorf("%s may be dialled", form)
			}
			if allowed != (public.Use(form) == "") || allowed != public.Networks(nil).Allow(a) {
				t.Errorf("%s is not judged as %s is", form, a)
			}
		}
	})
}
