"""The demonstration clinic: synthetic people, made by a seed, and a monitor that never sleeps."""
