# The provider's flake.lock: the reference of each input, and its locked source.
let
  inherit (import ./strings.nix) dropPrefix hasPrefix splitOn;
  fail = import ./fail.nix;

  hint = "run `nix flake lock` in the provider's folder, and `git add flake.lock`";

  # Attributes that differ between commits of a source, or that only a fetched tree
  # has.
  ofOneCommit = [
    "rev"
    "shortRev"
    "dirtyRev"
    "dirtyShortRev"
    "narHash"
    "revCount"
    "lastModified"
    "lastModifiedDate"
  ];

  # read path: the parsed lock, which is read when a value of it is used.
  read = path:
    if ! builtins.pathExists path then
      fail {
        subject = "flake.lock";
        problem = "the provider's flake has none";
        inherit hint;
      }
    else
      check (builtins.addErrorContext "while reading the provider's flake.lock"
        (builtins.fromJSON (builtins.readFile path)));

  # check lock: the lock, if its format is one that this file reads.
  check = lock:
    if builtins.elem (lock.version or null) [ 5 6 7 ] then lock
    else
      fail {
        subject = "flake.lock";
        problem = "its version is ${builtins.toJSON (lock.version or null)}, and only 5, 6 and 7 are known";
        hint = "run `nix flake lock` with a Nix whose lock format is 7";
      };

  # follow lock reference: the key of the node that a lock's input refers to, either
  # by the key or by a path of input names from the root (`follows`).
  follow = lock: reference:
    if builtins.isList reference then builtins.foldl' (step lock) lock.root reference
    else reference;

  step = lock: node: input:
    let inputs = lock.nodes.${node}.inputs or { }; in
    if inputs ? ${input} then follow lock inputs.${input}
    else
      fail {
        subject = "flake.lock";
        problem = "node ${node} has no input ${input}";
        inherit hint;
      };

  # nodeOf lock input: the lock's node of an input of the provider's flake. Its key
  # is the input's name only if no other flake has an input of that name, so we look
  # it up in the root.
  nodeOf = lock: input:
    if lock.nodes.${lock.root}.inputs or { } ? ${input} then
      lock.nodes.${step lock lock.root input}
    else
      fail {
        subject = "project ${input}";
        problem = "flake.lock has no such input";
        inherit hint;
      };

  # withoutDirQuery: Nix up to 2.8 writes dir into the url too, where the fetcher of
  # git reads it as a part of the address.
  withoutDirQuery = source:
    let
      parts = splitOn "[?]" source.url;
      query = builtins.filter (parameter: ! hasPrefix "dir=" parameter)
        (builtins.concatLists (map (splitOn "&") (builtins.tail parts)));
      url = builtins.head parts
        + (if query == [ ] then "" else "?" + builtins.concatStringsSep "&" query);
    in
    if source ? url && source ? dir then source // { inherit url; } else source;

  # isRelative source: whether it is a folder of the flake that names it.
  isRelative = source: source.type or null == "path" && ! hasPrefix "/" source.path;

  # absolute root source: the argument of callFlake for a locked source. A folder of
  # the provider's own repository is below `root`. Its content is locked, or is that
  # of the provider's own commit.
  absolute = root: source:
    let
      folder = {
        name = "source";
        path = root + "/${if hasPrefix "./" source.path then dropPrefix "./" source.path else source.path}";
      };
    in
    if ! isRelative source then source
    else if source ? narHash then
      source // { path = builtins.unsafeDiscardStringContext (builtins.path (folder // { sha256 = source.narHash; })); }
    else
      {
        tree = { outPath = builtins.path folder; lastModified = 0; lastModifiedDate = "19700101000000"; };
      } // (if source ? dir then { inherit (source) dir; } else { });
in
{
  inherit read check absolute isRelative;

  # lockedOf root lock input: the locked source of an input, as an argument of
  # callFlake. Format 5 keeps a part of it in `info`.
  lockedOf = root: lock: input:
    let node = nodeOf lock input; in
    absolute root (node.locked // node.info or { });

  # sourceOf lock input: { original; }, the reference in the flake. A name of the
  # registry has a meaning only on this machine, so an `indirect` reference also has
  # `resolved`: what the name meant when it was locked, without the commit.
  sourceOf = lock: input:
    let
      node = nodeOf lock input;
      original = withoutDirQuery node.original;
      isFollowed = builtins.isList lock.nodes.${lock.root}.inputs.${input};
    in
    if ! node ? original then
      fail {
        subject = "project ${input}";
        problem = "flake.lock does not say where it comes from";
        inherit hint;
      }
    else if isFollowed && isRelative original then
      fail {
        subject = "project ${input}";
        problem = "it follows an input that is the path ${original.path} in another flake, and cannot be fetched without that";
        hint = "let the input name a repository of its own";
      }
    else
      { inherit original; }
      // (if original.type or null == "indirect"
      then { resolved = withoutDirQuery (removeAttrs node.locked ofOneCommit); }
      else { });

  # dirOf source: the folder of the project's flake below the root of its tree,
  # "" for the root itself.
  dirOf = source: source.original.dir or source.resolved.dir or "";
}
