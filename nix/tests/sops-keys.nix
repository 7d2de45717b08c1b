let
  read = import ../lib/sops-keys.nix "secrets/secrets.yaml";
  lines = builtins.concatStringsSep "\n";
  metadata = [ "sops:" "    version: 3.9.1" ];
  # An encrypted file with these lines.
  keys = text: read (lines (text ++ metadata ++ [ "" ]));
  # Joined from parts, because the trace of an error shows the lines of this file.
  secret = "hunter" + "2";
  long = builtins.concatStringsSep "" (builtins.genList (_: "0123456789") 5000);
in
{
  # The format of sops 3.9, with shortened metadata.
  written-by-sops = {
    expr = read ''
      #ENC[AES256_GCM,data:Zm9vOiBiYXI=,iv:AAAA,tag:BBBB,type:comment]
      acme:
          backups_secret: ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]
          backups_env: ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]
      acme_site:
          backups_secret: ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]
      site-main-b7ea262:
          backups_env: ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]
      cloudflare_token: ENC[AES256_GCM,data:8SSvKt8=,iv:bQ==,tag:yg==,type:str]
      sops:
          kms: []
          age:
              - recipient: age1yt3tfqlfrwdwx0z0ynwplcr6qxcxfaqycuprpmy89nr83ltx74tqdpszlw
                enc: |
                  -----BEGIN AGE ENCRYPTED FILE-----
                  YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA=
                  -----END AGE ENCRYPTED FILE-----
          lastmodified: "2025-01-02T03:04:05Z"
          mac: ENC[AES256_GCM,data:bQ==,iv:bQ==,tag:bQ==,type:str]
          unencrypted_suffix: _unencrypted
          version: 3.9.1
    '';
    expected = [
      "acme"
      "acme/backups_secret"
      "acme/backups_env"
      "acme_site"
      "acme_site/backups_secret"
      "site-main-b7ea262"
      "site-main-b7ea262/backups_env"
      "cloudflare_token"
    ];
  };

  two-spaces = { expr = keys [ "a:" "  b: 1" "  c: 2" ]; expected = [ "a" "a/b" "a/c" ]; };
  each-its-own-indentation = { expr = keys [ "a:" "  b: 1" "c:" "      d: 2" ]; expected = [ "a" "a/b" "c" "c/d" ]; };
  lists-at-the-keys-own-indentation = { expr = keys [ "a:" "- b: 1" "- c: 2" "d:" "  e:" "  - f: 1" "  g: 2" ]; expected = [ "a" "d" "d/e" "d/g" ]; };
  third-level = { expr = keys [ "a:" "  b:" "    c: 1" "  d: 2" ]; expected = [ "a" "a/b" "a/d" ]; };
  quoted = { expr = keys [ "\"a\":" "  'b': 1" "  c : 2" ]; expected = [ "a" "a/b" "a/c" ]; };
  empty-mapping = { expr = keys [ "a: {}" "b: []" ]; expected = [ "a" "b" ]; };
  comments-and-blank-lines = { expr = keys [ "# a" "" "a: # of the organisation" "  # b" "" "    " "  b: 1" ]; expected = [ "a" "a/b" ]; };
  beginning-of-a-document = { expr = keys [ "---" "a:" "  b: 1" ]; expected = [ "a" "a/b" ]; };
  line-ends-of-windows = { expr = keys [ "a:\r" "  b: 1\r" ]; expected = [ "a" "a/b" ]; };
  nothing-but-metadata = { expr = keys [ ]; expected = [ ]; };

  # A line in a text that looks like a key is not a key.
  text-of-the-first-level = { expr = keys [ "a: |" "  b: 1" "" "  c: 2" "d:" "  e: 1" ]; expected = [ "a" "d" "d/e" ]; };
  text-of-the-second-level = { expr = keys [ "a:" "  b: >-" "    c: 1" "   d: 2" "  e: 1" ]; expected = [ "a" "a/b" "a/e" ]; };
  text-of-the-third-level = { expr = keys [ "a:" "  b:" "    c: |" "      d: |" "     e: 1" "  f: 1" ]; expected = [ "a" "a/b" "a/f" ]; };
  text-over-lines = { expr = keys [ "a: \"one" "  b: two\"" "c: 1" ]; expected = [ "a" "c" ]; };

  long-values = { expr = keys [ "a:" "    b: ENC[AES256_GCM,data:${long}]" "    c: 1" ]; expected = [ "a" "a/b" "a/c" ]; };
  many-lines = {
    expr = builtins.length (keys (builtins.concatLists (builtins.genList (i: [ "k${toString i}:" "    backups_env: x" ]) 2000)));
    expected = 4000;
  };

  not-encrypted = { expr = read "a:\n  b: ${secret}\n"; error = "secrets/secrets.yaml: is not encrypted by sops: it has no key `sops`.*hint: encrypt it"; errorNot = "hunter[2]"; };
  empty-file = { expr = read ""; error = "is not encrypted by sops"; };
  json = { expr = read ''{ "a": { "b": "c" }, "sops": { } }''; error = "secrets/secrets.yaml: line 1 is no key, so .*hint: let sops write the file .*hostenv.secrets.keys"; };
  flow-style = { expr = keys [ "ok: 1" "a: { b: ${secret} }" ]; error = "line 2 has a value in another style"; errorNot = "hunter[2]"; };
  anchor = { expr = keys [ "a: &x" "  b: 1" ]; error = "line 1 has a value in another style"; };
  alias = { expr = keys [ "a:" "  b: *x" ]; error = "line 2 has a value in another style"; };
  merge-key = { expr = keys [ "a:" "  <<: *x" ]; error = "line 2 is no key"; };
  tab = { expr = keys [ "a:" "\tb: 1" ]; error = "line 2 is indented by a tab"; };
  second-document = { expr = keys [ "a: 1" "---" "b: 1" ]; error = "line 2 begins another document"; };
  less-indented = { expr = keys [ "a:" "    b: 1" "  c: 1" ]; error = "line 3 is indented less"; };
  no-key-before = { expr = keys [ "  a: 1" ]; error = "line 1 is indented, and no key"; };
  a-list = { expr = keys [ "- a" ]; error = "line 1 is no key"; };
  not-yaml = { expr = keys [ secret ]; error = "line 1 is no key"; errorNot = "hunter[2]"; };
}
