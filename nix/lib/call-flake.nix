# callFlake evaluates a flake from a locked source, with some of its inputs
# replaced, and gives what `inputs.x` would be: its outputs, `inputs`,
# `outputs`, `sourceInfo` and the attributes of its source.
#
# A provider has one source per environment (repository and git ref), and flake
# inputs must be literal. With this, the plan is the lock: nothing is generated,
# and the provider's own flake.lock does not grow with its environments.
#
# - Pure evaluation, `builtins` alone. Nothing is fetched before it is used.
# - The store paths are those of the same flake as a literal input with
#   `follows`, and of `builtins.getFlake` where nothing is replaced, under the
#   Nix that runs.
# - An input is what the flake's own flake.lock says, unless it is replaced.
#   An input that flake.nix wants and neither gives is an error, used or not, and
#   all of them are named at once. flake.lock is never mended here, nor is what
#   it was made from compared with flake.nix: that is for `nix flake lock`.
# - As with `follows`, an input that follows a replaced one gets the replacement,
#   and a path that leads on through it takes the replacement's own inputs. A
#   flake has `_type = "flake"` there, too: Nix 2.8 gives its inputs none, and
#   flake-parts asks for it.
# - An override of an input that the flake does not have is left out: a provider
#   replaces the same inputs for all its customers, and not each has them all.
#   So is one below another override, or below an input that follows another.
{
  # What errors name: "project acme__site", "environment 'site-main-b7ea262'".
  subject,
  # Locked arguments of `builtins.fetchTree`, and `dir`: where in it flake.nix is.
  # Or, in place of the arguments, `tree`: what fetchTree would give.
  source,
  # What is to be done once the customer's repository is mended.
  again ? "plan again",
  # Input path ("nixpkgs", "extra/nixpkgs") to the value that takes its place.
  overrides ? { },
}:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    genList
    isString
    length
    listToAttrs
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
  # { a = 1; b = 2; } and (n: v: v > 1) to { b = 2; }
  filterAttrs =
    keep: attrs:
    listToAttrs (
      concatMap (
        name:
        if keep name attrs.${name} then
          [
            {
              inherit name;
              value = attrs.${name};
            }
          ]
        else
          [ ]
      ) (attrNames attrs)
    );

  # What Nix changed in the value of a flake, by its release notes.
  since = version: builtins.compareVersions builtins.nixVersion version >= 0;
  outPathHasDir = since "2.14"; # before, it was the root of the source
  relativeInTree = since "2.26"; # before, a relative input was copied out of it
  sourceInfoForAll = since "2.29"; # before, non-flakes had none, and no `dir`

  # Sources

  # Archives are fetched by revision alone: a ref beside it is refused, or even
  # aborts an older Nix. For git both matter, as a server need not give out a
  # commit without a ref that leads to it; fetchTree's own default, a shallow
  # clone, heeds no ref and knows no revCount, so ask for what flakes do.
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
    (builtins.fetchFinalTree or builtins.fetchTree) (
      (if attrs.type == "git" then { shallow = false; } else { })
      // removeAttrs attrs ([ "dir" ] ++ (if isArchive && attrs ? rev then [ "ref" ] else [ ]))
    );

  below = base: dir: if dir == "" || dir == "." then base else "${base}/${dir}";

  # A place: a tree, where in it the flake.nix is, and what a value gives as its
  # own path.
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
      fail "its source is not locked, for it has neither rev nor narHash; run `mage plan`";

  # What flake.nix and flake.lock say

  rootFlake =
    if pathExists "${rootPlace.flakeDir}/flake.nix" then
      within "flake.nix" (import "${rootPlace.flakeDir}/flake.nix")
    else
      fail "there is no flake.nix in ${below "its source" (source.dir or "")}; mend `dir` of the source, or add the file, and ${again}";

  declared = rootFlake.inputs or { };

  # An argument of `outputs` is an input, whether or not `inputs` names it;
  # `inputs.self` is none, it says how the flake is to be fetched.
  wanted = removeAttrs (functionArgs rootFlake.outputs // declared) [ "self" ];

  missing = filter (name: !(overrides ? ${name} || refsOf lock.root ? ${name})) (attrNames wanted);

  lock =
    let
      read = within "flake.lock" (
        builtins.fromJSON (builtins.readFile "${rootPlace.flakeDir}/flake.lock")
      );
      version = read.version or null;
    in
    if !pathExists "${rootPlace.flakeDir}/flake.lock" then
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

  # The inputs of a node: each the label of another, or the list of names that
  # it follows. What only follows needs no lock, so where flake.lock is silent
  # flake.nix is asked.
  refsOf = label: if label == lock.root then refsOfRoot else (node label).inputs or { };
  refsOfRoot =
    mapAttrs (_: input: unslashed input.follows) (filterAttrs (_: input: input ? follows) declared)
    // (node lock.root).inputs or { };

  # The tree of inputs

  # Where an input path leads, through whatever it follows: { path; label; } of a
  # node, or { override; rest; }, names to go through inside the replacement.
  # `seen` holds the follows that are being resolved.
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
      fail "${show here} follows itself, through '${concatStringsSep "', '" (map slashed seen)}'; mend `follows` in the customer's flake.nix, then ${relock}"
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
          or (fail "${show path} follows '${slashed ([ at.override ] ++ at.rest)}', but the provider's '${at.override}' has no such input; override '${slashed path}' too, or mend `follows` in the customer's flake.nix, then ${relock}");
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

  # A node at its input path: its place and value, and the nodes below it. They
  # hang by path and not by label, for where two paths lead to one label, an
  # override may hold for one of them alone.
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
        filterAttrs (_: isString) (refsOf label)
      );
    };

  instantiateInput =
    parentPath: path: label:
    let
      this = node label;
      isFlake = this.flake or true;
      # Format 5 keeps a part of it in `info`.
      locked =
        this.locked or (fail "${show path} is not locked in flake.lock; ${relock}") // this.info or { };
      dir = locked.dir or "";

      # A path is relative to the flake that names it. Newer locks say which that
      # is; in older ones it is taken to be the one whose input this is.
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
        if !isRelative then
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
