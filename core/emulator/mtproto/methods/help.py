"""`help.*` and what else a client asks for before anything matters."""

from __future__ import annotations

from typing import Any

from telethon.tl import functions, types

from telecine.core.emulator.mtproto.render import HOME_DC
from telecine.core.emulator.mtproto.rpc import Call, MethodTable
from telecine.core.emulator.mtproto.wire import moment

METHODS = MethodTable()


@METHODS.answers(functions.help.GetConfigRequest)
def get_config(call: Call, _query: Any) -> Any:
    """One data centre, ours. The timings are the figures that Telegram sends."""
    now_s = call.world.clock.now_ms() // 1000
    limits = call.world.limits
    return types.Config(
        date=moment(now_s),
        expires=moment(now_s + 3600),
        test_mode=False,
        this_dc=HOME_DC,
        dc_options=[types.DcOption(id=HOME_DC, ip_address=call.gate.host, port=call.gate.port)],
        dc_txt_domain_name="apv3.stel.com",
        chat_size_max=200,
        megagroup_size_max=200_000,
        forwarded_count_max=100,
        online_update_period_ms=210_000,
        offline_blur_timeout_ms=5_000,
        offline_idle_timeout_ms=30_000,
        online_cloud_timeout_ms=300_000,
        notify_cloud_delay_ms=30_000,
        notify_default_delay_ms=1_500,
        push_chat_period_ms=60_000,
        push_chat_limit=2,
        edit_time_limit=172_800,
        revoke_time_limit=2**31 - 1,
        revoke_pm_time_limit=2**31 - 1,
        rating_e_decay=2_419_200,
        stickers_recent_limit=200,
        channels_read_media_period=604_800,
        call_receive_timeout_ms=20_000,
        call_ring_timeout_ms=90_000,
        call_connect_timeout_ms=30_000,
        call_packet_timeout_ms=10_000,
        me_url_prefix="https://t.me/",
        caption_length_max=limits.caption_chars_max,
        message_length_max=limits.message_chars_max,
        webfile_dc_id=HOME_DC,
    )


@METHODS.answers(functions.help.GetNearestDcRequest)
def get_nearest_dc(_call: Call, _query: Any) -> Any:
    return types.NearestDc("ZZ", HOME_DC, HOME_DC)


@METHODS.answers(functions.help.GetAppConfigRequest)
def get_app_config(_call: Call, _query: Any) -> Any:
    return types.help.AppConfig(0, types.JsonObject([]))


@METHODS.answers(functions.account.UpdateStatusRequest)
def update_status(call: Call, _query: Any) -> Any:
    return call.user is not None
