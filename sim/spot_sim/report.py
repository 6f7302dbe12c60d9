"""The report of a run: in words and numbers for the terminal, and as a picture. Compares with the same seed without
control."""

from datetime import UTC, datetime

from .result import STEP_S, moved_kwh


def clock(utc, zone):
    """HH:MM of local time."""
    return datetime.fromtimestamp(utc, UTC).astimezone(zone).strftime("%H:%M")


def figures(controlled, baseline=None, devices=1):
    """The report's numbers as a flat dict, for --json and for the words."""
    days = controlled.seconds / 86400
    out = {
        "energy_kwh": round(controlled.energy_kwh, 2),
        "cost_eur": round(controlled.cost_eur, 2),
        "price_paid_eur_mwh": _paid(controlled),
        "peak_w": round(controlled.peak_w),
        "limits": [
            {
                "start": e.start,
                "end": e.end,
                "limit_w": e.limit_w,
                "kept": e.kept,
                "over_s": round(e.over_s),
                "worst_w": round(e.worst_w),
                "settled_s": e.settled_s,
            }
            for e in controlled.limits
        ],
        "comfort_kept": controlled.comfort_kept,
        "cold_kelvin_minutes": round(sum(controlled.cold_kmin.values()), 1),
        "warm_kelvin_minutes": round(sum(controlled.warm_kmin.values()), 1),
        "commands": dict(sorted(controlled.commands.items())),
        "alarms": dict(sorted(controlled.alarms.items())),
        "intervals": sum(controlled.intervals.values()),
        "minutes_missing": max(0, devices * controlled.seconds // 60 - sum(controlled.interval_min.values())),
        "switches": sum(controlled.switches.values()),
        "up_bytes_per_device_day": round(sum(controlled.up_bytes.values()) / devices / days),
        "down_bytes_per_device_day": round(sum(controlled.down_bytes.values()) / devices / days),
        "messages_per_device_day": round(sum(controlled.messages.values()) / devices / days),
        "digest": controlled.digest,
    }
    if baseline is not None:
        out.update(
            uncontrolled_energy_kwh=round(baseline.energy_kwh, 2),
            uncontrolled_cost_eur=round(baseline.cost_eur, 2),
            uncontrolled_price_paid_eur_mwh=_paid(baseline),
            uncontrolled_peak_w=round(baseline.peak_w),
            saved_eur=round(baseline.cost_eur - controlled.cost_eur, 2),
            moved_kwh=round(moved_kwh(controlled, baseline), 2),
            left_kwh=round(baseline.energy_kwh - controlled.energy_kwh, 2),
            uncontrolled_over_s=[round(e.over_s) for e in baseline.limits],
            uncontrolled_worst_w=[round(e.worst_w) for e in baseline.limits],
            uncontrolled_cold_kelvin_minutes=round(sum(baseline.cold_kmin.values()), 1),
            uncontrolled_warm_kelvin_minutes=round(sum(baseline.warm_kmin.values()), 1),
        )
    return out


def _paid(result):
    """Mean price of what was used, EUR/MWh."""
    return round(1000 * result.cost_eur / result.energy_kwh, 1) if result.energy_kwh else 0.0


def rows(controlled, baseline, devices, zone):
    """The report as rows (what, with control, without control) of text, short enough for 80 columns in all."""
    f = figures(controlled, baseline, devices)
    compared = baseline is not None

    def other(text):
        return text if compared else ""

    out = [
        ("cost of the energy", "%.2f EUR" % f["cost_eur"], other("%.2f EUR" % f.get("uncontrolled_cost_eur", 0))),
        ("energy", "%.1f kWh" % f["energy_kwh"], other("%.1f kWh" % f.get("uncontrolled_energy_kwh", 0))),
        (
            "mean price paid",
            "%.0f EUR/MWh" % f["price_paid_eur_mwh"],
            other("%.0f EUR/MWh" % f.get("uncontrolled_price_paid_eur_mwh", 0)),
        ),
        ("peak", "%d W" % f["peak_w"], other("%d W" % f.get("uncontrolled_peak_w", 0))),
    ]
    if compared:
        out.append(("moved to another time", "%.1f kWh" % f["moved_kwh"], ""))
    for i, limit in enumerate(f["limits"]):
        what = "limit %d W, %s–%s" % (limit["limit_w"], clock(limit["start"], zone), clock(limit["end"], zone))
        out.append(
            (
                what,
                _kept(limit["over_s"], limit["worst_w"]),
                other(_kept(f["uncontrolled_over_s"][i], f["uncontrolled_worst_w"][i]) if compared else ""),
            )
        )
    out += [
        (
            "comfort",
            _comfort(f["cold_kelvin_minutes"], f["warm_kelvin_minutes"], f["comfort_kept"]),
            other(
                _comfort(
                    f.get("uncontrolled_cold_kelvin_minutes", 0),
                    f.get("uncontrolled_warm_kelvin_minutes", 0),
                    compared and baseline.comfort_kept,
                )
            ),
        ),
        (
            "commands by final state",
            ", ".join("%d %s" % (n, s.replace("_", " ")) for s, n in f["commands"].items()) or "none",
            "",
        ),
        ("alarms", ", ".join("%d %s" % (n, a.replace("_", " ")) for a, n in f["alarms"].items()) or "none", ""),
        ("interval readings", "%d, %s" % (f["intervals"], _missing(f["minutes_missing"])), ""),
        ("switchings", "%d" % f["switches"], ""),
        (
            "a device's bodies a day",  # without what MQTT, CoAP and TLS add
            "%d octets up, %d down" % (f["up_bytes_per_device_day"], f["down_bytes_per_device_day"]),
            "",
        ),
        ("its messages a day", "%d" % f["messages_per_device_day"], ""),
    ]
    return out


def _kept(over_s, worst_w):
    return "kept" if not over_s else "%d s over, max %d W" % (over_s, worst_w)


def _missing(minutes):
    return "%d min missing" % minutes if minutes else "none missing"


def _comfort(cold, warm, kept):
    if kept:
        return "kept"
    return "%.0f K min cold, %.0f warm" % (cold, warm)


def words(controlled, baseline, devices):
    """Three sentences for the person at the terminal."""
    f = figures(controlled, baseline, devices)
    said = []
    if baseline is not None:
        percent = 100 * f["saved_eur"] / abs(f["uncontrolled_cost_eur"]) if f["uncontrolled_cost_eur"] else 0
        said.append(
            "Control made the day %.2f EUR %s (%.0f %%) and moved %.1f kWh to another time."
            % (abs(f["saved_eur"]), "cheaper" if f["saved_eur"] >= 0 else "dearer", abs(percent), f["moved_kwh"])
        )
        if abs(f["left_kwh"]) >= 1:
            said.append(
                "By midnight %.1f kWh %s was used than without it."
                % (abs(f["left_kwh"]), "less" if f["left_kwh"] > 0 else "more")
            )
    for limit in f["limits"]:
        settled = limit["settled_s"]
        if limit["kept"]:
            said.append(
                "The limit of %d W was kept; the house was under it %s."
                % (limit["limit_w"], "from its first second" if not settled else "after %d s" % settled)
            )
        else:
            said.append(
                "The limit of %d W was not kept: %d s above it, %d W at worst."
                % (limit["limit_w"], limit["over_s"], limit["worst_w"])
            )
    said.append(
        "Every room stayed in its comfort band."
        if f["comfort_kept"]
        else "Comfort suffered: %.0f kelvin-minutes too cold, %.0f too warm, over all rooms."
        % (f["cold_kelvin_minutes"], f["warm_kelvin_minutes"])
    )
    return " ".join(said)


def picture(path, controlled, baseline, title, zone):
    """Draws power, price and room temperature over the day into `path` (.png or .svg)."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.dates
    from matplotlib import pyplot

    times = [datetime.fromtimestamp(controlled.start + i * STEP_S, UTC) for i in range(len(controlled.energy_j))]
    figure, (power, price, room) = pyplot.subplots(
        3, 1, figsize=(10, 8.5), sharex=True, height_ratios=(3, 1.6, 2), layout="constrained"
    )
    figure.suptitle(title, fontsize=13)
    ink, calm, accent, warm = "#17324d", "#9fb2c1", "#d1495b", "#e8a33d"
    if baseline is not None:
        power.step(
            times, [w / 1000 for w in baseline.power_w], where="post", color=calm, lw=1.2, label="without control"
        )
    power.step(times, [w / 1000 for w in controlled.power_w], where="post", color=ink, lw=1.4, label="with control")
    power.fill_between(
        times, [j / STEP_S / 1000 for j in controlled.base_j], step="post", color="#dfe7ec", label="base load"
    )
    for i, e in enumerate(controlled.limits):
        span = [datetime.fromtimestamp(e.start, UTC), datetime.fromtimestamp(e.end, UTC)]
        power.plot(span, [e.limit_w / 1000] * 2, color=accent, lw=2.2, label="limit" if not i else None)
        for axes in (power, price, room):
            axes.axvspan(*span, color=accent, alpha=0.07, lw=0)
    power.set_ylabel("power, kW")
    power.set_ylim(bottom=0)
    power.legend(loc="upper left", frameon=False, ncols=4, fontsize=9)
    price.step(times, controlled.prices, where="post", color=warm, lw=1.6)
    price.fill_between(times, controlled.prices, step="post", color=warm, alpha=0.15)
    price.axhline(0, color=calm, lw=0.8)
    price.set_ylabel("price, EUR/MWh")
    bands = set(controlled.bands.values())
    for low, high in bands:
        room.axhspan(low / 100, high / 100, color="#cfe8d5", alpha=0.5, lw=0)
    names = sorted(controlled.rooms)
    many = len(names) > 6
    for run, colour, label in ((baseline, calm, "without control"), (controlled, ink, "with control")):
        if run is None:
            continue
        for i, name in enumerate(names):
            series = [None if c is None else c / 100 for c in run.rooms[name]]
            series = [float("nan") if c is None else c for c in series]
            room.plot(
                times,
                series,
                color=colour,
                lw=0.7 if many else 1.3,
                alpha=0.5 if many else 1,
                label=None if i else label,
            )
    room.set_ylabel("room, °C")
    if names:
        room.legend(loc="upper left", frameon=False, ncols=2, fontsize=9)
    room.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M", tz=zone))
    room.xaxis.set_major_locator(matplotlib.dates.HourLocator(byhour=range(0, 24, 3), tz=zone))
    room.set_xlim(times[0], datetime.fromtimestamp(controlled.start + controlled.seconds, UTC))
    for axes in (power, price, room):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eef2f4")
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
