"""The ground floor: files, devices, hosts, logging. Imports none of the packages above it."""
