"""Networks: one file = configuration + network + loss."""
