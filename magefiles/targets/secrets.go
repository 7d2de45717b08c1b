package targets

import "os"

// secretVariables are the environment variables that hold secrets of the provider.
// All targets start programs, and only the gate needs one of these.
var secretVariables = []string{
	"CF_API_TOKEN", "CF_API_KEY", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY",
	"SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "RESTIC_PASSWORD",
}

// withheld holds the variables that withhold removed, as name=value. Only sops
// gets them.
var withheld []string

// withhold removes the secrets from the environment. The caller calls restore at
// the end, as the next target may need them.
func withhold() (restore func()) {
	held := map[string]string{}
	for _, name := range secretVariables {
		if value, ok := os.LookupEnv(name); ok {
			held[name] = value
			withheld = append(withheld, name+"="+value)
			_ = os.Unsetenv(name) // fails only for invalid names
		}
	}
	return func() {
		withheld = nil
		for name, value := range held {
			_ = os.Setenv(name, value)
		}
	}
}
