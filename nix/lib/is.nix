# The rules of hostenv/names in Nix, for names of a plan that reach deploy-rs or a
# NixOS module. A plan has hosts and addresses in normalised form: other forms are
# refused here. The files of hostenv/names/testdata test both.
let
  inherit (builtins) all elem elemAt filter isList isString length match split stringLength;

  # Nix's engine for regular expressions recurses once a character, so it must not get
  # a long text.
  is = most: pattern: value: isString value && stringLength value <= most && match pattern value != null;

  parts = separator: text: filter (part: ! isList part) (split separator text);
  last = list: elemAt list (length list - 1);

  label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  lowerLabel = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";

  host = value: is 253 "([*][.])?${lowerLabel}([.]${lowerLabel})*" value
    # Not an IP address, nor a name that browsers read as one.
    && match "[0-9]+|0x[0-9a-f]*" (last (parts "[.]" value)) == null;

  octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
  ipv4 = is 15 "${octet}([.]${octet}){3}";

  # Groups, of which "::" may leave some out, and an IPv4 address for the last two.
  ipv6 = value: is 61 "[0-9a-f:.]+(%[A-Za-z0-9][A-Za-z0-9._-]{0,14})?" value && (
    let
      bare = elemAt (split "%" value) 0;
      halves = parts "::" bare;
      groups = text: if text == "" then [ ] else parts ":" text;
      found = builtins.concatMap groups halves;
      valid = i: i == length found - 1 && last halves != "" && ipv4 (elemAt found i) || is 4 "[0-9a-f]+" (elemAt found i);
      count = length found + (if found != [ ] && ipv4 (last found) then 1 else 0);
    in
    match ".*:.*" bare != null
    && all valid (builtins.genList (i: i) (length found))
    && (if length halves == 1 then count == 8 else length halves == 2 && count < 8)
  );
in
rec {
  node = value: is 253 "${label}([.]${label})*" value && match ".*[A-Za-z].*" value != null;
  user = value: is 31 "[a-z0-9][a-z0-9_-]*" value && match "[0-9]+" value == null;
  system = is 255 "[a-z0-9_]+-[a-z0-9]+";
  inherit host;
  address = value: ipv4 value || ipv6 value || host value && match "[*].*" value == null;
  plainPath = value: is 4095 "/[A-Za-z0-9._/-]+" value
    && all (part: ! elem part [ "" "." ".." ]) (builtins.tail (parts "/" value));
  publicKey = is 16384 "[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^[:cntrl:]]*)?";
}
