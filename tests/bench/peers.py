"""What the same content takes in S2 and in OpenADR 3: JSON bodies made by hand from the published schemas.

S2 (EN 50491-12-2): ResourceManagerDetails, OMBC.SystemDescription, PowerMeasurement, OMBC.Instruction and
InstructionStatusUpdate, which s2-python 0.11.1 takes as valid. OpenADR 3: `event` and `report` as in its OpenAPI
schema; its report types have no voltage, current or frequency, for which private strings stand, as it allows.
Identifiers are UUIDs where S2 demands them. Compact separators, since that is what a careful sender writes.
"""

import json
import zlib

_N = iter(range(1, 1000))


def _uuid():
    return f"6f1e2d3c-4b5a-4978-8695-{next(_N) * 7919:012x}"


def sizes(*objects):
    """(octets of the JSON messages, octets of each deflated at level 9 together)."""
    texts = [json.dumps(o, separators=(",", ":")).encode() for o in objects]
    return sum(map(len, texts)), sum(len(zlib.compress(t, 9, wbits=-15)) for t in texts)


def s2_register(name, model, firmware, modes, min_run_s, min_pause_s):
    """A resource and its operation modes (label, least W, most W), transitions between them, run and pause timers."""
    mode_ids = [_uuid() for _ in modes]
    run, pause = _uuid(), _uuid()
    details = {
        "message_type": "ResourceManagerDetails", "message_id": _uuid(), "resource_id": _uuid(), "name": name,
        "roles": [{"role": "ENERGY_CONSUMER", "commodity": "ELECTRICITY"}], "manufacturer": "SPOT", "model": model,
        "serial_number": "70b3d5fffe4a1c07", "firmware_version": firmware, "instruction_processing_delay": 1000,
        "available_control_types": ["OPERATION_MODE_BASED_CONTROL"], "provides_forecast": False,
        "provides_power_measurement_types": ["ELECTRIC.POWER.L1"]}
    transitions = [
        {"id": _uuid(), "from": a, "to": b, "start_timers": [run if i else pause],
         "blocking_timers": [pause if i else run], "transition_duration": 1000, "abnormal_condition_only": False}
        for a in mode_ids for i, b in enumerate(mode_ids) if a != b]
    system = {
        "message_type": "OMBC.SystemDescription", "message_id": _uuid(), "valid_from": "2025-12-12T00:00:00Z",
        "operation_modes": [
            {"id": mode, "diagnostic_label": label, "abnormal_condition_only": False, "power_ranges": [
                {"start_of_range": least, "end_of_range": most, "commodity_quantity": "ELECTRIC.POWER.L1"}]}
            for mode, (label, least, most) in zip(mode_ids, modes, strict=True)],
        "transitions": transitions,
        "timers": [{"id": run, "diagnostic_label": "run", "duration": min_run_s * 1000},
                   {"id": pause, "diagnostic_label": "pause", "duration": min_pause_s * 1000}]}
    return details, system


def s2_power(*quantities):
    """A PowerMeasurement of power quantities (S2 has none for voltage, energy or frequency)."""
    return {"message_type": "PowerMeasurement", "message_id": _uuid(), "measurement_timestamp": "2025-12-12T17:00:00Z",
            "values": [{"commodity_quantity": q, "value": v} for q, v in quantities]}


def s2_instruction():
    """An instruction into an operation mode: S2 has no duration, after-state, ramp or jitter here."""
    return {"message_type": "OMBC.Instruction", "message_id": _uuid(), "id": _uuid(),
            "execution_time": "2025-12-12T01:00:00Z", "operation_mode_id": _uuid(), "operation_mode_factor": 1.0,
            "abnormal_condition": False}


def s2_status():
    """What became of an instruction: S2 gives neither effective power nor reason."""
    return {"message_type": "InstructionStatusUpdate", "message_id": _uuid(), "instruction_id": _uuid(),
            "status_type": "ACCEPTED", "timestamp": "2025-12-12T00:00:02Z"}


def openadr_report(*payloads):
    """A report of readings (type, value) of one resource."""
    return {"programID": "44", "eventID": "88", "clientName": "spot-ven", "resources": [
        {"resourceName": "70b3d5fffe4a1c07",
         "intervalPeriod": {"start": "2025-12-12T17:00:00Z", "duration": "PT5M"},
         "intervals": [{"id": 40000, "payloads": [{"type": t, "values": [v]} for t, v in payloads]}]}]}


def openadr_limit():
    """An event with an import capacity limit of 2.3 kW for a day, spread over five minutes."""
    return {"programID": "44", "eventName": "40000-1", "priority": 5, "intervalPeriod": {
        "start": "2025-12-12T01:00:00Z", "duration": "P1D", "randomizeStart": "PT5M"},
        "targets": [{"type": "RESOURCE_NAME", "values": ["70b3d5fffe4a1c07"]}],
        "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT",
                                "units": "KW"}],
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [2.3]}]}]}


def openadr_prices(prices, minutes):
    """An event with one price an interval, in EUR/kWh."""
    return {"programID": "44", "eventName": "2024-12-12",
            "intervalPeriod": {"start": "2024-12-11T23:00:00Z", "duration": f"PT{minutes}M"},
            "payloadDescriptors": [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH",
                                    "currency": "EUR"}],
            "intervals": [{"id": i, "payloads": [{"type": "PRICE", "values": [round(p / 1000, 5)]}]}
                          for i, p in enumerate(prices)]}
