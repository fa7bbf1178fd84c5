"""Codecs by FFmpeg's names: what Telegram's players play, what sound can become AAC, what people call them."""

from __future__ import annotations

# What phones decode in hardware: eight bits, and for HEVC ten as well.
_EIGHT_BIT = frozenset({"yuv420p", "yuvj420p"})
PIXEL_FORMATS_PLAYABLE = {"h264": _EIGHT_BIT, "hevc": _EIGHT_BIT | {"yuv420p10le"}, "mpeg4": _EIGHT_BIT}
VIDEO_CODECS_PLAYABLE = frozenset(PIXEL_FORMATS_PLAYABLE)
HEVC_TAG = "hvc1"  # Apple's players take no HEVC that is called otherwise (`hev1`, `dvhe`)

# Android has no licence for Dolby and DTS, Apple plays neither Opus nor Vorbis, and nobody FLAC in MP4.
AUDIO_CODECS_PLAYABLE = frozenset({"aac", "mp3"})
_AUDIO_CODECS_DECODED = frozenset(
    {"ac3", "eac3", "dts", "truehd", "mlp"}
    | {"flac", "alac", "ape", "tta", "wavpack", "tak"}
    | {"aac_latm", "mp1", "mp2", "opus", "vorbis", "speex", "amr_nb", "amr_wb", "gsm", "gsm_ms"}
    | {"wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice"}
    | {"cook", "sipr", "ra_144", "ra_288", "atrac3", "atrac3p", "nellymoser", "qdm2", "qcelp"}
)
_AUDIO_FAMILIES_DECODED = ("pcm_", "adpcm_")

_NAMES = {
    "h264": "H.264",
    "hevc": "HEVC",
    "mpeg4": "MPEG-4 Visual",
    "mpeg2video": "MPEG-2",
    "mpeg1video": "MPEG-1",
    "av1": "AV1",
    "vp8": "VP8",
    "vp9": "VP9",
    "vc1": "VC-1",
    "wmv3": "WMV",
    "aac": "AAC",
    "aac_latm": "AAC in LATM",
    "ac3": "AC-3",
    "eac3": "E-AC-3",
    "dts": "DTS",
    "truehd": "TrueHD",
    "mp2": "MP2",
    "mp3": "MP3",
    "flac": "FLAC",
    "alac": "ALAC",
    "opus": "Opus",
    "vorbis": "Vorbis",
}


def becomes_aac(codec: str) -> bool:
    """Whether sound of this codec can be decoded, and so become AAC."""
    return codec in _AUDIO_CODECS_DECODED or codec.startswith(_AUDIO_FAMILIES_DECODED)


def name(codec: str) -> str:
    """What people call it: `AC-3` for `ac3`; a codec without another name keeps FFmpeg's."""
    if codec.startswith("pcm_"):
        return "PCM"
    return _NAMES.get(codec, codec or "unknown")
