"""CoRE link format (RFC 6690): what /.well-known/core and the registration at a resource directory say."""


def _matches(value, wanted):
    return value.startswith(wanted[:-1]) if wanted.endswith("*") else value == wanted


def attribute(attributes, name):
    """The value of an attribute in `rt="a b";obs;ct=60`, without its quotes; "" for a flag, None where it is not."""
    for part in attributes.split(";"):
        key, _, value = part.partition("=")
        if key == name:
            return value.strip('"')
    return None


def selected(path, attributes, queries):
    """Whether a link passes the filters ("rt=spot.*", section 4.1); of a list of values one has to match."""
    for query in queries:
        name, _, wanted = query.partition("=")
        value = "/" + path if name == "href" else attribute(attributes, name)
        if value is None or not any(_matches(one, wanted) for one in [value] + value.split(" ")):
            return False
    return True


def link(path, attributes):
    """One link-value (section 2)."""
    return "</%s>%s%s" % (path, ";" if attributes else "", attributes)


def core(resources, queries=(), own=True):
    """The links of {path: resource with .attributes and .observable} that pass the filters, as octets, by path.

    own: with /.well-known/core itself, which a registration (RFC 9176) leaves out.
    """
    links = []
    for path in sorted(resources):
        resource = resources[path]
        name = str(path, "utf-8")
        attributes = resource.attributes
        if "%s" in attributes:
            attributes = attributes % name
        if resource.observable:
            attributes += ";obs" if attributes else "obs"
        if (own or not name.startswith(".well-known")) and selected(name, attributes, queries):
            links.append(link(name, attributes))
    return ",".join(links).encode()
