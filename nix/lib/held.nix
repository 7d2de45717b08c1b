# What evaluates one customer's code alone: `mage` runs one process for each project
# and for each source of environments, in which Nix can read no other source than
# those given here (held-project.nix, held-packages.nix).
#
#   lock             the part of the provider's flake.lock with the inputs that the
#                    provider shares, and with the project, as data
#   shared           the names of the provider's inputs that replace the project's
#   own              { narHash; dir; } of the provider's own flake. It is read if
#                    the provider replaces inputs by values of its own (shared is
#                    null), or has the project or a shared input in a folder of it;
#                    null if not.
#   missing          the narHashes that the store does not have
#   refused          input paths of the project's flake.lock, and why they are refused
#
# Returns { root; overrides; callFlake; }: the provider's folder, the inputs that it
# replaces, and call-flake.nix.
#
# Every source is a tree that the store has, by its hash. So the process fetches
# nothing, and needs no allowed URI, no network, no cache and no home.
{ lock, shared, own, missing, refused }:
let
  inherit (builtins) elem intersectAttrs listToAttrs mapAttrs substring toString;

  # tree hash: the store path of a source. Nix returns a path that the store has,
  # without a look at `path`. No code can catch that a source is missing, so no result
  # depends on what the store has.
  tree = hash:
    if elem hash missing then abort "hostenv-provider: needs ${hash}"
    else
      builtins.path {
        name = "source";
        path = "${builtins.storeDir}/00000000000000000000000000000000-not-fetched";
        sha256 = hash;
      };

  # fetchTree locked: what Nix's fetchTree returns for a source with a lock.
  fetchTree = locked:
    {
      outPath = tree (locked.narHash or (throw "a source without narHash is not locked; run `nix flake lock` again where it is named"));
      inherit (locked) narHash;
    }
    // (if locked.type == "git" then { submodules = locked.submodules or false; } else { })
    // (if locked ? rev then { inherit (locked) rev; shortRev = substring 0 7 locked.rev; } else { })
    // (if locked ? revCount then { inherit (locked) revCount; } else { })
    // (if locked ? lastModified then {
      inherit (locked) lastModified;
      lastModifiedDate = date locked.lastModified;
    } else { });

  # date 0 is "19700101000000". Months begin in March, so that a leap day ends a year.
  date = seconds:
    let
      days = seconds / 86400 + 719468;
      era = days / 146097;
      dayOfEra = days - era * 146097;
      yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146096) / 365;
      dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
      fromMarch = (5 * dayOfYear + 2) / 153;
      month = if fromMarch < 10 then fromMarch + 3 else fromMarch - 9;
      rest = seconds - (seconds / 86400) * 86400;
      two = number: if number < 10 then "0${toString number}" else toString number;
    in
    toString (yearOfEra + era * 400 + (if month <= 2 then 1 else 0))
    + two month
    + two (dayOfYear - (153 * fromMarch + 2) / 5 + 1)
    + two (rest / 3600) + two ((rest - (rest / 3600) * 3600) / 60) + two (rest - (rest / 60) * 60);

  call = { source, ... }@args:
    import ./call-flake.nix (args // {
      inherit fetchTree;
      source = if source ? tree then source else { tree = fetchTree source; } // intersectAttrs { dir = null; } source;
    });

  root = {
    tree = { outPath = tree own.narHash; inherit (own) narHash; };
    inherit (own) dir;
  };

  inputs = (call {
    subject = "the provider's flake";
    source = root;
    flake = {
      inputs = listToAttrs (map (name: { inherit name; value = { }; }) shared);
      outputs = _: { };
    };
    inherit lock;
  }).inputs;

  overrides =
    if shared != null then intersectAttrs (listToAttrs (map (name: { inherit name; value = null; }) shared)) inputs
    else (call { subject = "the provider's flake"; source = root; }).lib.hostenvProvider.overrides;
in
{
  inherit overrides;
  root = tree own.narHash + (if own.dir == "" then "" else "/${own.dir}");
  callFlake = args: call (args // { inherit refused; });
}
