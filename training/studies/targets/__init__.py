"""What similarity targets say of each data set."""
