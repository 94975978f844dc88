"""What other tools than ModelOpt quantize: recognised by name, sized where config.json says enough, audited in part."""
