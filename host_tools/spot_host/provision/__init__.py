"""Provisioning over a home's folder: what is wrong with a device's files, many devices from a list, what goes out.

certificates: what is wrong with them. csv_list: the list of a bulk. bulk: works it off. outfit: a device's files for
`spot flash`. listing: who is there, and until when.
"""
