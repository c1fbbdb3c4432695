"""One file a stage: read the section of params.yaml, call talkmesh, write the outs."""
