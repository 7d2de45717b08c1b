# Evaluated configuration as JSON-safe data.
#
# toData { subject; root; } path value: the value, such that builtins.toJSON
# writes it without a store path and without copying anything into the store.
#
#   subject  whose value it is, for errors: "project acme__site"
#   root     the store path of the project's tree, without string context, or
#            null where there is none. A path in it becomes relative to it, the
#            root itself ".": the result is the same for every commit that
#            changes nothing else.
#   path     the attribute path of the value, a list of names, for errors
#
# Refused are functions, derivations, every other path, and attributes that NixOS's
# module system or Nix would interpret; `_module`, which the module system leaves
# behind, is dropped.
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
  # In a store that lies elsewhere on disk (`--store ~/mine`), some versions of
  # Nix give path values where they lie, so the root need not be at the start.
  relative = text:
    let rest = if root != null && hasPrefix "/" text then dropUpTo root text else null; in
    if rest == null then null
    else if rest == "" || rest == "/" then "."
    else if hasPrefix "/" rest then builtins.substring 1 (-1) rest
    else null;

  # othersIn text: whether the text refers to store paths beside root.
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
        else "only paths in the project's own source can be written down: leave the package out of the environments")
    else text;

  ofPath = path: value:
    let inside = relative (toString value); in
    if inside != null then inside
    else
      refuse path "is a path literal (${toString value})"
        "write it as a string, in quotes: a path literal is copied into the store, which every user can read";

  # Evaluation is lazy: what fails in a value fails here, attribute by
  # attribute, and so here the customer's own errors learn where they are.
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
      refuse path "is a function" "only data can be written into a plan"
    else value;

  # Sets that Nix would write as a string (a flake's input, say) are that string.
  ofAttrs = path: value:
    if value.type or null == "derivation" then
      refuse path "is a derivation (${builtins.unsafeDiscardStringContext (value.name or "without a name")})"
        "only data can be written into a plan: leave the package out of it"
    else if value ? __toString then toData path (value.__toString value)
    else if value ? outPath then toData path value.outPath
    else if value ? __functor then
      refuse path "is a function" "only data can be written into a plan"
    else
      builtins.mapAttrs (name: ofAttribute (path ++ [ name ]) name) (removeAttrs value [ "_module" ]);

  # A value with such an attribute is code to NixOS's modules.
  ofAttribute = path: name:
    if reserved name then
      refuse path "is refused: Nix or NixOS's module system interprets an attribute of this name" "remove it: an environment is data"
    else toData path;
in
toData
