# callFlake evaluates a flake from a locked source and replaces some of its
# inputs. It returns the value that `inputs.x` would have: the flake's outputs,
# `inputs`, `outputs`, `sourceInfo` and the attributes of its source.
#
# A provider has one source per environment (repository and git ref), and Nix
# accepts only literal flake inputs. With callFlake the plan is the lock: we
# generate no flake, and the provider's own flake.lock does not grow with its
# environments.
#
# - The evaluation is pure and uses only `builtins`. It fetches a source when it
#   first uses it.
# - The store paths equal those of the same flake as a literal input with
#   `follows`, under the Nix that runs. Without replacements they equal those of
#   `builtins.getFlake`.
# - The flake's own flake.lock gives each input, unless `overrides` replaces it.
#   If neither of them gives an input of flake.nix, one error names all such
#   inputs, used or not. callFlake does not repair flake.lock and does not compare
#   it with flake.nix: `nix flake lock` does both.
# - As with `follows`, an input that follows a replaced one gets the replacement,
#   and a path that leads on through it takes the replacement's own inputs. Every
#   flake among them has `_type = "flake"`: Nix 2.8 does not set it for inputs,
#   and flake-parts needs it.
# - callFlake ignores an override of an input that the flake does not have: a
#   provider replaces the same inputs for all its customers, and some customers
#   lack some of them. It also ignores an override below another override, or
#   below an input that follows another.
{
  # The subject of errors: "project acme__site", "environment 'site-main-b7ea262'".
  subject,
  # Locked arguments of `builtins.fetchTree`, and `dir`, the folder of flake.nix.
  # Or `tree`, the result of fetchTree, in place of the arguments.
  source,
  # The last step of a fix, after the customer's repository is correct.
  again ? "plan again",
  # Input path ("nixpkgs", "extra/nixpkgs") to the value that replaces the input.
  overrides ? { },
  # What fetches a source with a lock.
  fetchTree ? builtins.fetchFinalTree or builtins.fetchTree,
  # Values in place of flake.nix and of flake.lock, null to read them.
  flake ? null,
  lock ? null,
  # Input path to the reason why the input must not be fetched.
  refused ? { },
}@args:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    genList
    isString
    length
    mapAttrs
    pathExists
    removeAttrs
    ;

  fail = message: throw "${subject}: ${message}";
  relock = "run `nix flake lock` in the customer's repository, commit flake.lock, and ${again}";
  within = what: builtins.addErrorContext "while evaluating ${what} of ${subject}";

  slashed = concatStringsSep "/";
  unslashed = text: filter (part: isString part && part != "") (builtins.split "/" text);
  show = path: if path == [ ] then "the flake itself" else "input '${slashed path}'";

  init = list: genList (elemAt list) (length list - 1);
  last = list: elemAt list (length list - 1);
  select = keep: set: removeAttrs set (filter (name: !keep set.${name}) (attrNames set));

  # Changes of Nix in the value of a flake, from its release notes.
  since = version: builtins.compareVersions builtins.nixVersion version >= 0;
  outPathHasDir = since "2.14"; # before, outPath was the root of the source
  relativeInTree = since "2.26"; # before, Nix copied a relative input out of the tree
  sourceInfoForAll = since "2.29"; # before, non-flakes had no sourceInfo and no `dir`

  # Sources

  # An archive needs its revision alone: Nix refuses a ref beside it, and an older
  # Nix aborts. Git needs both, because a server may refuse a commit without a ref
  # that leads to it. By default fetchTree makes a shallow clone, which ignores
  # the ref and has no revCount; flakes make a full clone, and so do we.
  fetch =
    attrs:
    let
      isArchive = elem attrs.type [
        "github"
        "gitlab"
        "sourcehut"
        "gitea"
      ];
    in
    fetchTree (
      (if attrs.type == "git" then { shallow = false; } else { })
      // removeAttrs attrs ([ "dir" ] ++ (if isArchive && attrs ? rev then [ "ref" ] else [ ]))
    );

  below = base: dir: if dir == "" || dir == "." then base else "${base}/${dir}";

  # A place is a tree, the folder of flake.nix in it, and the outPath of the value.
  placeIn = sourceInfo: dir: rec {
    inherit sourceInfo;
    flakeDir = below sourceInfo.outPath dir;
    outPath = if outPathHasDir then flakeDir else sourceInfo.outPath;
  };

  rootPlace =
    if source ? tree then
      placeIn source.tree (source.dir or "")
    else if source ? rev || source ? narHash then
      placeIn (within "the source" (
        fetch (
          removeAttrs source [
            "revCount"
            "allRefs"
          ]
        )
      )) (source.dir or "")
    else
      fail "its source is not locked: it has neither rev nor narHash; run `mage plan`";

  # flake.nix and flake.lock

  rootFlake =
    if flake != null then flake
    else if pathExists "${rootPlace.flakeDir}/flake.nix" then
      within "flake.nix" (import "${rootPlace.flakeDir}/flake.nix")
    else
      fail "there is no flake.nix in ${below "its source" (source.dir or "")}; correct `dir` of the source, or add the file, and ${again}";

  declared = rootFlake.inputs or { };

  # Every argument of `outputs` is an input, also one that `inputs` does not name.
  # `inputs.self` is not an input: it holds options for fetching the flake.
  wanted = removeAttrs (functionArgs rootFlake.outputs // declared) [ "self" ];

  missing = filter (name: !(overrides ? ${name} || refsOf lock.root ? ${name})) (attrNames wanted);

  lock =
    let
      read = within "flake.lock" (
        builtins.fromJSON (builtins.readFile "${rootPlace.flakeDir}/flake.lock")
      );
      version = read.version or null;
    in
    if args.lock or null != null then args.lock
    else if !pathExists "${rootPlace.flakeDir}/flake.lock" then
      {
        root = "root";
        nodes.root = { };
      }
    else if version == 5 || version == 6 || version == 7 then
      read
    else
      fail "flake.lock has format ${builtins.toJSON version}, and only 5 to 7 are known; ${relock}";

  node =
    label: lock.nodes.${label} or (fail "flake.lock has no node '${label}', but refers to it; ${relock}");

  # The inputs of a node: each is the label of another node, or the list of names
  # that it follows. An input that only follows needs no lock, so flake.nix
  # completes flake.lock.
  refsOf = label: if label == lock.root then refsOfRoot else (node label).inputs or { };
  refsOfRoot =
    mapAttrs (_: input: unslashed input.follows) (select (input: input ? follows) declared)
    // (node lock.root).inputs or { };

  # The tree of inputs

  # resolve follows an input path to its end: { path; label; } of a node, or
  # { override; rest; }, a replacement and the names of the inputs to take inside
  # it. `seen` holds the follows on the way, to find a circle.
  resolve =
    seen: path:
    let
      parent = resolve seen (init path);
      name = last path;
      here = parent.path ++ [ name ];
      ref =
        (refsOf parent.label).${name}
          or (fail "${show here} is followed, but ${show parent.path} has no such input; ${relock}");
    in
    if path == [ ] then
      {
        path = [ ];
        label = lock.root;
      }
    else if parent ? override then
      parent // { rest = parent.rest ++ [ name ]; }
    else if overrides ? ${slashed here} then
      {
        override = slashed here;
        rest = [ ];
      }
    else if ref == lock.root then
      resolve seen [ ]
    else if isString ref then
      {
        path = here;
        label = ref;
      }
    else if elem ref seen then
      fail "${show here} follows itself, through '${concatStringsSep "', '" (map slashed seen)}'; correct `follows` in the customer's flake.nix, then ${relock}"
    else
      resolve (seen ++ [ ref ]) ref;

  # The place and value at an input path.
  lookup =
    path:
    let
      at = resolve [ ] path;
      through =
        value: name:
        value.inputs.${name}
          or (fail "${show path} follows '${slashed ([ at.override ] ++ at.rest)}', but the provider's '${at.override}' has no such input; override '${slashed path}' too, or correct `follows` in the customer's flake.nix, then ${relock}");
      value = asFlake (foldl' through overrides.${at.override} at.rest);
    in
    if at ? override then
      {
        inherit value;
        place = {
          sourceInfo = value.sourceInfo or value;
          flakeDir = value.outPath;
        };
      }
    else
      foldl' (instance: name: instance.nodes.${name}) root at.path;

  asFlake = value: if value ? inputs && value ? outputs then value // { _type = "flake"; } else value;

  # A node at its input path: its place and value, and the nodes below it. The
  # path identifies a node, and not its label: where two paths lead to one label,
  # an override may apply to only one of them.
  instantiate =
    {
      path,
      label,
      place,
      wanted ? refsOf label,
      isFlake ? true,
    }:
    let
      flake = if path == [ ] then rootFlake else import "${place.flakeDir}/flake.nix";
      inputs = mapAttrs (name: _: (lookup (path ++ [ name ])).value) wanted;
      outputs = within (show path) (flake.outputs (inputs // { self = result; }));
      result =
        outputs
        // place.sourceInfo
        // {
          inherit inputs outputs;
          inherit (place) outPath sourceInfo;
          _type = "flake";
        };
    in
    {
      inherit place;
      value =
        if isFlake then
          result
        else
          place.sourceInfo
          // (if sourceInfoForAll then { inherit (place) sourceInfo; } else { })
          // {
            inherit (place) outPath;
          };
      nodes = mapAttrs (name: instantiateInput path (path ++ [ name ])) (
        select isString (refsOf label)
      );
    };

  instantiateInput =
    parentPath: path: label:
    let
      this = node label;
      isFlake = this.flake or true;
      # Format 5 keeps a part of the locked attributes in `info`.
      locked =
        this.locked or (fail "${show path} is not locked in flake.lock; ${relock}") // this.info or { };
      dir = locked.dir or "";

      # A path is relative to the flake that names it. Newer locks record that
      # flake as `parent`; for older ones we take the flake that has this input.
      isRelative = locked.type == "path" && builtins.substring 0 1 locked.path != "/";
      parent = (lookup (this.parent or parentPath)).place;
      target = "${parent.flakeDir}/${locked.path}";

      fetched =
        attrs:
        let
          sourceInfo = within (show path) (fetch attrs);
        in
        if isFlake || sourceInfoForAll then placeIn sourceInfo dir else placeIn sourceInfo "";

      copied = builtins.unsafeDiscardStringContext (
        within (show path) (
          builtins.path {
            name = "source";
            path = target;
            sha256 = locked.narHash;
          }
        )
      );

      inTree = rec {
        flakeDir = below target dir;
        outPath = flakeDir;
        sourceInfo = parent.sourceInfo // (if sourceInfoForAll then { } else { inherit outPath; });
      };
    in
    instantiate {
      inherit path label isFlake;
      place =
        if refused ? ${slashed path} then
          fail "${show path} is ${refused.${slashed path}}; remove it from the customer's flake.nix and flake.lock"
        else if !isRelative then
          fetched locked
        else if relativeInTree || !(locked ? narHash) then
          inTree
        else
          fetched (locked // { path = copied; });
    };

  root = instantiate {
    path = [ ];
    label = lock.root;
    place = rootPlace;
    inherit wanted;
  };
in
if missing == [ ] then
  root.value
else
  fail "flake.lock has no ${
    concatStringsSep ", " (map (name: show [ name ]) missing)
  }, and the provider does not replace ${if length missing == 1 then "it" else "them"}; ${relock}"
