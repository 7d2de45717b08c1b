package plan

// A CertificateProfile is one of Let's Encrypt's certificate profiles
// (https://letsencrypt.org/docs/profiles/). Let's Encrypt takes an order that names none
// for one by [Classic].
type CertificateProfile string

// The profiles.
const (
	Classic    CertificateProfile = "classic"
	TLSServer  CertificateProfile = "tlsserver"
	Shortlived CertificateProfile = "shortlived"
)

// CertificateProfiles returns all profiles.
func CertificateProfiles() []CertificateProfile {
	return []CertificateProfile{Classic, TLSServer, Shortlived}
}
