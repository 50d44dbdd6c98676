/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/manual.h"

#include "common/err.h"
#include "common/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME  "manual.json"
#define FILE_BYTES 65536
#define GOOD_S     (90 * 24 * 3600) /* then a person looks again */

static const struct {
    const char *name, *what, *how;
} switches[] = {
    {"sharepoint-picture", "SharePoint's own picture property",
     "SharePoint admin center > User profiles > Manage User Properties > Picture: Do not allow "
     "users to edit values for this property"},
    {"power-platform", "Office 365 Users connector (Update my profile photo) in Power Platform",
     "Power Platform admin center > Data policies: block the action UpdateMyPhoto, or the "
     "connector"},
    {"exchange-powershell", "Exchange Online PowerShell for users",
     "Set-User -EXOModuleEnabled $false for those who administer nothing"},
};

/* The file's object; an empty one when there is no file, or none that can be read: that asks a
 * person again. */
static json_t *read_file(int dir)
{
    struct buf text = {0};
    json_t *all =
        file_read(dir, FILE_NAME, FILE_BYTES, &text) == 0 ? answer_json(buf_view(&text)) : NULL;
    buf_free(&text);
    if (!json_is_object(all)) {
        json_decref(all);
        all = json_object();
    }
    return all;
}

void look_manual(const struct conf *conf, struct report *out)
{
    char *path = conf_path(conf, conf->tenant.state_dir.text);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    json_t *all = dir >= 0 ? read_file(dir) : json_object();
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        json_t *row = json_object_get(all, switches[i].name);
        json_int_t at = json_integer_value(json_object_get(row, "at"));
        if (at > 0 && at + GOOD_S > time(NULL)) {
            report_add(out, "manual", FINDING_NOTE, STR_NONE,
                       "%s: confirmed %lld days ago by %.80s", switches[i].what,
                       (long long)(time(NULL) - at) / 86400, row_text(row, "by"));
        } else {
            report_add(out, "manual", FINDING_MANUAL, str_z(switches[i].how),
                       "%s: nobody has confirmed it%s; photogate-admin confirm %s",
                       switches[i].what, at > 0 ? " in 90 days" : "", switches[i].name);
        }
    }
    json_decref(all);
    if (dir >= 0) {
        close(dir);
    }
    free(path);
}

int manual_confirm(int dir, const char *name, const char *by, struct buf *names)
{
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        known = known || strcmp(switches[i].name, name) == 0;
        buf_printf(names, "%s%s", i > 0 ? ", " : "", switches[i].name);
    }
    if (!known) {
        return ERR_NAME;
    }
    json_t *all = read_file(dir);
    struct buf text = {0};
    json_object_set_new(all, name, json_pack("{s:I, s:s}", "at", (json_int_t)time(NULL), "by", by));
    put_value(&text, all);
    buf_char(&text, '\n');
    int err = file_replace(dir, FILE_NAME, buf_view(&text), 0600);
    buf_free(&text);
    json_decref(all);
    return err;
}
