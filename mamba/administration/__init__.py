"""For those who keep the Tango side: configuration as files, the contract every server keeps, what events do."""
