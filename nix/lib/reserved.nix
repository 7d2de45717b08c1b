# reserved name: whether NixOS's module system or Nix interprets an attribute of this
# name, wherever it stands in a value. hostenv/names has the same rule;
# hostenv/names/testdata/reserved.json is tested with both.
name:
builtins.substring 0 2 name == "__"
|| builtins.elem name [ "_class" "_file" "_module" "_type" "disabledModules" "freeformType" "imports" "outPath" ]
