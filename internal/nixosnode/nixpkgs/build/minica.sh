# shellcheck shell=bash disable=SC2154
# minica --ca-key FILE --ca-cert FILE --domains A,B...: what NixOS's acme module needs of jsha/minica (not in Debian, nor in
# the Go module proxy): a CA if there is none, and cert.pem and key.pem of the domains in a folder named after the first.
set -euo pipefail
while [ $# -gt 0 ]; do
  case $1 in
    --ca-key) caKey=$2 ;; --ca-cert) caCert=$2 ;; --domains) domains=$2 ;;
    *) echo "minica: unknown argument $1" >&2; exit 2 ;;
  esac
  shift 2
done
export OPENSSL_CONF=/dev/null
subject() { printf '[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=%s\n' "$1"; }
if [ ! -e "$caKey" ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out "$caKey"
  openssl req -config <(subject "minica root ca"; printf '[ca]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n') -extensions ca -x509 -new -key "$caKey" -days 3650 -out "$caCert"
fi
first=${domains%%,*} folder=${domains%%,*}; folder=${folder//\*/_}
mkdir -p "$folder"
openssl ecparam -name prime256v1 -genkey -noout -out "$folder/key.pem"
openssl req -config <(subject "$first") -new -key "$folder/key.pem" -out "$folder/req.pem"
openssl x509 -req -in "$folder/req.pem" -CA "$caCert" -CAkey "$caKey" -days 800 -set_serial "0x$(openssl rand -hex 8)" -extfile <(echo "subjectAltName=DNS:${domains//,/,DNS:}") -out "$folder/cert.pem"
rm "$folder/req.pem"
