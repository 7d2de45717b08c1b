# The manual's example of two flakes that use each other.
{
  inputs.b.url = "git+file://@repos@/circular-b?ref=main";
  inputs.b.inputs.a.follows = "";
  outputs =
    { self, b }:
    {
      foo = 123 + b.bar;
      xyzzy = 1000;
    };
}
