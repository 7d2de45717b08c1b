package boulder

import "testing"

func TestBehind(t *testing.T) {
	for _, test := range []struct {
		reason   string
		versions []string
		newest   string
		weeks    int
	}{
		{"no other release", nil, "v0.20261110.0", 0},
		{"older ones", []string{"v0.20260921.0", "v0.20261110.0"}, "v0.20261110.0", 0},
		{"six days newer", []string{"v0.20261116.0"}, "v0.20261116.0", 0},
		{"a day short of eight weeks", []string{"v0.20270104.0"}, "v0.20270104.0", 7},
		{"eight weeks, over a new year", []string{"v0.20270105.3", "v0.20261201.0"}, "v0.20270105.3", 8},
		{"versions named otherwise", []string{"v0.0.0-20280101000000-abcdef123456", "v1.2.3", "v0.20269999.0"}, "v0.20261110.0", 0},
	} {
		t.Run(test.reason, func(t *testing.T) {
			newest, weeks, err := Behind("v0.20261110.0", test.versions)
			if err != nil || newest != test.newest || weeks != test.weeks {
				t.Errorf("got %s, %d weeks, %v", newest, weeks, err)
			}
		})
	}
	if _, _, err := Behind("v0.0.0-20261110000000-abcdef123456", nil); err == nil {
		t.Error("a version that is not named by a day is compared")
	}
}
