# Stands for nix/lib/nodes.nix.
{
  modulesOf = { plan, provider, node, inputs, self }: [
    { _file = "generated/plan.json"; config = plan.nodes.${node}; }
  ];
}
