"""What this server can do, said by itself: made from the same table that the server runs on."""

from typing import Any

from openketamine import __version__

from .kinds import BASE_SPEC, KINDS, REVINCLUDES, SUBJECT, Kind, includes_of

SECURITY = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def statement(base: str, *, at: str, smart: dict[str, str]) -> dict[str, Any]:
    """The CapabilityStatement.

    Args:
        base: the server's own address.
        at: since when it stands, as FHIR writes a moment.
        smart: the addresses of the authorization server, by their SMART names.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": at,
        "kind": "instance",
        "software": {"name": "OpenKetamine", "version": __version__},
        "implementation": {"description": "OpenKetamine FHIR server", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "implementationGuide": [
            "http://hl7.org/fhir/us/core/ImplementationGuide/hl7.fhir.us.core",
            "http://hl7.org/fhir/uv/bulkdata/ImplementationGuide/hl7.fhir.uv.bulkdata",
        ],
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "rest": [
            {
                "mode": "server",
                "documentation": "What no clinical act stands for cannot be created here; what "
                "happened is never deleted. Unknown search parameters are refused, unless "
                "Prefer: handling=lenient.",
                "security": {
                    "cors": False,
                    "service": [{"coding": [{"system": SECURITY, "code": "SMART-on-FHIR"}]}],
                    "description": "SMART App Launch and Backend Services; every read is audited.",
                    "extension": [
                        {
                            "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/"
                            "oauth-uris",
                            "extension": [
                                {"url": name, "valueUri": address}
                                for name, address in smart.items()
                            ],
                        }
                    ],
                },
                "resource": [_resource(kind) for kind in KINDS.values()] + [_binary()],
                "operation": [
                    {
                        "name": "export",
                        "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
                    },
                    {
                        "name": "import-referral",
                        "definition": f"{base}/$import-referral",
                        "documentation": "One patient's Bundle, taken in whole or not at all.",
                    },
                ],
                "searchParam": [
                    {"name": "_id", "type": "token"},
                    {"name": "_lastUpdated", "type": "date"},
                ],
            }
        ],
    }


def _resource(kind: Kind) -> dict[str, Any]:
    interactions = [{"code": "read"}, {"code": "search-type"}]
    if kind.create:
        interactions.append({"code": "create", "documentation": kind.create})
    if kind.update:
        interactions.append({"code": "update", "documentation": kind.update})
    return {
        "type": kind.name,
        "profile": f"{BASE_SPEC}/StructureDefinition/{kind.name}",
        **({"supportedProfile": list(kind.profiles)} if kind.profiles else {}),
        "documentation": kind.about,
        "interaction": interactions,
        "versioning": "versioned-update" if kind.update else "versioned",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": bool(kind.create),
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal"],
        **({"searchInclude": searched} if (searched := _includes(kind)) else {}),
        **(
            {"searchRevInclude": [f"{source}:{param}" for source, param in REVINCLUDES]}
            if not kind.live
            else {}
        ),
        "searchParam": search_params(kind),
        **({"operation": _operations()} if kind.name == "Patient" else {}),
    }


def _binary() -> dict[str, Any]:
    return {
        "type": "Binary",
        "documentation": "The PDF that a DocumentReference names.",
        "interaction": [{"code": "read"}],
    }


def _includes(kind: Kind) -> list[str]:
    return [f"{kind.name}:{name}" for name in includes_of(kind)]


def _operations() -> list[dict[str, str]]:
    return [
        {
            "name": "everything",
            "definition": f"{BASE_SPEC}/OperationDefinition/Patient-everything",
        },
        {
            "name": "export",
            "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
        },
    ]


def search_params(kind: Kind) -> list[dict[str, str]]:
    """Every search parameter of a kind, as its capabilities list it."""
    listed = [
        {"name": "_id", "type": "token", "documentation": "its id"},
        {"name": "_lastUpdated", "type": "date", "documentation": "when it last changed"},
    ]
    listed += [
        {"name": name, "type": "reference", "documentation": "whose chart it belongs to"}
        for name in SUBJECT.get(kind.name, ())
    ]
    if kind.date:
        listed.append(
            {"name": kind.date_param, "type": "date", "documentation": f"its {kind.date}"}
        )
    listed += [
        {
            "name": param.name,
            "type": param.type,
            "documentation": param.says or f"at {', '.join(param.paths)}",
        }
        for param in kind.params
    ]
    return listed
