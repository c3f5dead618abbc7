"""Free places of the remediation structures, and the holds on them."""
