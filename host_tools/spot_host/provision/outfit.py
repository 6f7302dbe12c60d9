"""What goes onto one device, as a folder or a tar for `spot flash`: checked whole, names as they are beside main.py."""

import io
import json
import tarfile
from pathlib import Path

from cryptography import x509

from spot.config import ConfigError
from spot.config_check import check_device_config, check_fit

from .. import home_folder, secret_files
from ..aws_policy import wrong_link
from ..device_files import NAMES
from ..errors import UserError
from . import certificates

_TARS = {".tar": "w:", ".tgz": "w:gz", ".gz": "w:gz"}


def wrong(home, eui, another_ca=False) -> list[str]:
    """What is wrong with a provisioned device's files; [] when nothing is."""
    order = home.known(eui)
    file = home.device_folder(eui) / "config.json"
    try:
        config = json.loads(file.read_text())
        check_device_config(config, str(file))
        check_fit(home_folder.board(order.board), config, str(file))
    except OSError as exc:
        return [f"{file}: {exc.strerror}; `spot provision device` makes it again"]
    except ConfigError as exc:
        return [str(exc)]
    except ValueError:
        return [f"{file}: is not JSON: torn or mistyped"]
    found = [str(error) for error in certificates.wrong_files(
        config, file, authority=None if home.aws and order.link == "mqtt" else home.pki.certificate,
        another_ca=bool(home.aws))]
    found += [str(ConfigError(str(file), f"mqtt.{name}", want)) for name, want in wrong_link(config.get("mqtt", {}))]
    if config["eui64"].lower() != eui:
        found.append(f"{file}: eui64: must be {eui}, as its folder's name, not {config['eui64']!r}")
    if not found and order.certified and not home.aws:
        serial = x509.load_der_x509_certificate((file.parent / "cert.der").read_bytes()).serial_number
        if home.pki.is_revoked_serial(eui, serial):
            found.append(f"{file}: {order.link if order.link == 'mqtt' else 'coap'}.cert: must be one that is not "
                         "revoked; `spot provision rotate --certificate` makes another")
    return found


def files(home, eui) -> dict[str, bytes]:
    """{name: octets} of a device, config.json first. UserError: what is wrong with them, a line for each."""
    faults = wrong(home, eui)
    if faults:
        raise UserError("\n".join(faults))
    at = home.device_folder(eui)
    config = json.loads((at / "config.json").read_text())
    plain(config, at)
    found = {"config.json": (json.dumps(config, indent=1) + "\n").encode()}
    for name in NAMES[1:]:
        if (at / name).exists():
            found[name] = (at / name).read_bytes()
    return found


def plain(config, at) -> None:
    """Paths of this computer become names beside main.py."""
    config["store"] = "store"
    for kind in ("mqtt", "coap"):
        for name in ("ca", "cert", "key", "pairing"):
            value = config.get(kind, {}).get(name)
            if value and Path(value).parent == at:
                config[kind][name] = Path(value).name
    config.pop("boards", None)


def export(home, eui, to: Path) -> bool:
    """Write the files into the folder `to`, or the tar that it names; False when just these are there already.

    UserError when something else is there, or nothing can be written."""
    found, to = files(home, eui), Path(to)
    try:
        if to.suffix in _TARS:
            data = _tar(found, _TARS[to.suffix])
            if to.exists():
                if to.read_bytes() == data:
                    return False
                raise UserError(f"{to}: is there, with something else in it; delete it or take another name")
            to.parent.mkdir(parents=True, exist_ok=True)
            secret_files.write(to, data, secret=True)
            return True
        there = {path.name: path.read_bytes() for path in to.iterdir()} if to.is_dir() else {}
        if there == found:
            return False
        if to.exists() and (not to.is_dir() or there):
            raise UserError(f"{to}: is there, with something else in it; delete it or take another name")
        to.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in [*NAMES[1:], NAMES[0]]:
            if name in found:
                secret_files.write(to / name, found[name], secret=True)
        return True
    except OSError as exc:
        raise UserError(f"{to}: cannot be written: {exc.strerror}") from exc


def _tar(found, mode):
    """The same octets for the same files: no times, no owners."""
    out = io.BytesIO()
    more = {"compresslevel": 9} if mode == "w:gz" else {}
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in found.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    if not more:
        return out.getvalue()
    import gzip

    return gzip.compress(out.getvalue(), mtime=0, **more)
