package targets

import "os"

// secretVariables are variables of the environment with secrets of the provider.
// Of the targets the gate alone needs any, and all start programs.
var secretVariables = []string{
	"CF_API_TOKEN", "CF_API_KEY", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY",
	"SOPS_AGE_KEY", "SOPS_AGE_KEY_CMD", "RESTIC_PASSWORD",
}

// withheld are the variables that withhold took, as name=value: for sops alone.
var withheld []string

// withhold takes the secrets out of the environment until restore is called: a
// target that comes after may need them.
func withhold() (restore func()) {
	held := map[string]string{}
	for _, name := range secretVariables {
		if value, ok := os.LookupEnv(name); ok {
			held[name] = value
			withheld = append(withheld, name+"="+value)
			_ = os.Unsetenv(name) // fails for names that cannot be
		}
	}
	return func() {
		withheld = nil
		for name, value := range held {
			_ = os.Setenv(name, value)
		}
	}
}
