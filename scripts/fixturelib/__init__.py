"""What the scripts beside this package share: toolchains, builds, dumps."""
