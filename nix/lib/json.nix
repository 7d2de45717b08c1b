# Evaluated configuration as JSON-safe data.
#
# toData { subject; root; } path value: the value, such that builtins.toJSON
# writes it without a store path and without copying anything into the store.
#
#   subject  the owner of the value, for errors: "project acme__site"
#   root     the store path of the project's tree, without string context, or
#            null. A path in it becomes relative to it, and the root itself ".", so
#            that the result does not change with every commit.
#   path     the attribute path of the value, a list of names, for errors
#
# It refuses functions, derivations, all other paths, and attributes that NixOS's
# module system or Nix interprets. It drops `_module`, which the module system adds.
{ subject, root }:
let
  inherit (builtins) isAttrs isFunction isList isPath isString storeDir;
  reserved = import ./reserved.nix;
  strings = import ./strings.nix;
  inherit (strings) contains dropUpTo hasPrefix;
  fail = import ./fail.nix;

  refuse = path: problem: hint: fail {
    inherit subject hint;
    problem = "${showPath path} ${problem}";
  };

  showPath = path: if path == [ ] then "all" else strings.showPath path;

  # relative text: the path relative to root, or null if it is not below root.
  # For a store elsewhere on the disk (`--store ~/mine`) some versions of Nix return
  # path values with that folder before the root.
  relative = text:
    let rest = if root != null && hasPrefix "/" text then dropUpTo root text else null; in
    if rest == null then null
    else if rest == "" || rest == "/" then "."
    else if hasPrefix "/" rest then builtins.substring 1 (-1) rest
    else null;

  # othersIn text: whether the text refers to store paths other than root.
  othersIn = text: ! builtins.all (hasPrefixOf root) (builtins.attrNames (builtins.getContext text));
  hasPrefixOf = path: prefix: path != null && hasPrefix prefix path;

  ofString = path: text:
    let
      plain = builtins.unsafeDiscardStringContext text;
      inside = relative plain;
    in
    if inside != null && ! othersIn text && ! contains "${storeDir}/" inside then inside
    else if builtins.hasContext text || hasPrefix "${storeDir}/" plain then
      refuse path "is the store path ${plain}"
        (if root == null
        then "a plan must not hold store paths: write a path on the node, or a name"
        else "only paths in the project's own source can be in a plan: remove the package from the environments")
    else text;

  ofPath = path: value:
    let inside = relative (toString value); in
    if inside != null then inside
    else
      refuse path "is a path literal (${toString value})"
        "write it as a string, in quotes: a path literal is copied into the store, which every user can read";

  # Evaluation is lazy: a customer's own error occurs here, where we know its
  # attribute path.
  toData = path: value:
    builtins.addErrorContext "while evaluating ${showPath path} of ${subject}" (convert path value);

  convert = path: value:
    if isString value then ofString path value
    else if isPath value then ofPath path value
    else if isList value then
      builtins.genList
        (i: toData (path ++ [ (toString i) ]) (builtins.elemAt value i))
        (builtins.length value)
    else if isAttrs value then ofAttrs path value
    else if isFunction value then
      refuse path "is a function" "a plan can hold only data"
    else value;

  # A set that Nix would write as a string, such as a flake's input, is that string.
  ofAttrs = path: value:
    if value.type or null == "derivation" then
      refuse path "is a derivation (${builtins.unsafeDiscardStringContext (value.name or "without a name")})"
        "a plan can hold only data: remove the package from it"
    else if value ? __toString then toData path (value.__toString value)
    else if value ? outPath then toData path value.outPath
    else if value ? __functor then
      refuse path "is a function" "a plan can hold only data"
    else
      builtins.mapAttrs (name: ofAttribute (path ++ [ name ]) name) (removeAttrs value [ "_module" ]);

  # A value with such an attribute is code to NixOS's modules.
  ofAttribute = path: name:
    if reserved name then
      refuse path "is refused: Nix or NixOS's module system interprets an attribute of this name" "remove it: an environment is data"
    else toData path;
in
toData
