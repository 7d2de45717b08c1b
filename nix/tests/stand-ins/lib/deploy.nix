# Stands for nix/lib/deploy.nix.
{
  specOf = { plan, provider, systems, packages, activate, pkgsFor }: {
    nodes = builtins.mapAttrs
      (node: connection:
        let
          users = builtins.filter (user: plan.environments.${user}.node == node) (builtins.attrNames packages);
          activation = activate (connection.system or "x86_64-linux");
        in
        {
          inherit (connection) hostname;
          profilesOrder = [ "system" ] ++ users;
          profiles = {
            system = { user = "root"; path = activation.nixos systems.${node}; };
          } // builtins.listToAttrs (map
            (user: { name = user; value = { inherit user; path = activation.custom packages.${user} "activate"; }; })
            users);
        })
      plan.nodeConnections;
  };
}
