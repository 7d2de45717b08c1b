# Fetches the sources listed in sources.json beside this file, and gives for
# each, in their order, what a plan locks it with.
#
# The list holds { label; tree; }: a name for the progress, and the attributes
# of fetchTree. Nothing is locked yet, so this is fetchTree and not
# fetchFinalTree, and it needs --impure.
let
  lock = { label, tree }:
    let fetched = builtins.trace "hostenv-provider: fetching ${label}" (builtins.fetchTree tree); in
    {
      rev = fetched.rev or "";
      inherit (fetched) narHash;
      lastModified = fetched.lastModified or 0;
    };
in
map lock (builtins.fromJSON (builtins.readFile ./sources.json))
