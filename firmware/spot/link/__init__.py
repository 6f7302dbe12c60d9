"""The links: sockets on one side, channels and bytes on the other. No message of the profile is understood here."""
