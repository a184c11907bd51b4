/*
 * console.exe EVENT FILE PROGRAM [ARGUMENT…]: starts a program, waits until FILE exists (a pattern as of FindFirstFile), and has
 * the program and all that it started hear a console event: 0 Ctrl-C, 1 Ctrl-Break, 2 the close, 6 the shutdown. Returns what the
 * program returns; 99 if it ended before FILE existed.
 *
 * console.exe wait FILE: makes FILE and waits to be ended.
 *
 * Wine's GenerateConsoleCtrlEvent knows no event but Ctrl-C. So this does what the console does: it starts a thread in each
 * process, at kernelbase's CtrlRoutine and with the event, which calls the handlers that the process has registered.
 */
#include <stdio.h>
#include <wchar.h>
#include <windows.h>
#include <tlhelp32.h>

#define MOST 64
#define PATIENCE 120000

static int fail(const wchar_t *what)
{
    fwprintf(stderr, L"console: %ls: error %lu\n", what, GetLastError());
    return 98;
}

/* Makes the file and waits. The file is closed first: it is what the other side looks for. */
static int wait_for_end(const wchar_t *path)
{
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return fail(path);
    CloseHandle(file);
    Sleep(PATIENCE);
    return 97;
}

static BOOL exists(const wchar_t *pattern)
{
    WIN32_FIND_DATAW found;
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return FALSE;
    FindClose(search);
    return TRUE;
}

/* The process and those that it started, those that these started, and so on. */
static int family(DWORD first, DWORD *members)
{
    int count = 1, before = 0;
    members[0] = first;
    while (count > before) {
        PROCESSENTRY32W entry = {.dwSize = sizeof(entry)};
        HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        before = count;
        for (BOOL more = Process32FirstW(all, &entry); more && count < MOST; more = Process32NextW(all, &entry)) {
            BOOL known = FALSE, is_child = FALSE;
            for (int i = 0; i < count; i++) {
                known |= members[i] == entry.th32ProcessID;
                is_child |= members[i] == entry.th32ParentProcessID;
            }
            if (is_child && !known)
                members[count++] = entry.th32ProcessID;
        }
        CloseHandle(all);
    }
    return count;
}

static BOOL deliver(DWORD id, DWORD event)
{
    void *routine = (void *)GetProcAddress(GetModuleHandleW(L"kernelbase"), "CtrlRoutine");
    HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, id);
    HANDLE thread = NULL;
    if (process && routine)
        thread = CreateRemoteThread(process, NULL, 0, (LPTHREAD_START_ROUTINE)routine, (void *)(ULONG_PTR)event, 0, NULL);
    if (process)
        CloseHandle(process);
    if (thread)
        CloseHandle(thread);
    return thread != NULL;
}

/* The rest of the command line, which is quoted already. */
static wchar_t *after(wchar_t *line, int words)
{
    while (words-- > 0) {
        BOOL quoted = FALSE;
        for (; *line && (quoted || *line != L' '); line++)
            quoted ^= *line == L'"';
        while (*line == L' ')
            line++;
    }
    return line;
}

int wmain(int argc, wchar_t **argv)
{
    if (argc == 3 && !wcscmp(argv[1], L"wait"))
        return wait_for_end(argv[2]);
    if (argc < 4)
        return fail(L"usage: console EVENT FILE PROGRAM [ARGUMENT...] | console wait FILE");

    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION started;
    if (!CreateProcessW(NULL, after(GetCommandLineW(), 3), NULL, NULL, TRUE, 0, NULL, NULL, &startup, &started))
        return fail(argv[3]);
    DWORD code = STILL_ACTIVE, members[MOST];
    while (!exists(argv[2])) {
        if (WaitForSingleObject(started.hProcess, 5) == WAIT_OBJECT_0)
            return 99;
    }
    int count = family(started.dwProcessId, members);
    /* The console begins with the process that it knows last. */
    while (count-- > 0) {
        if (!deliver(members[count], (DWORD)_wtoi(argv[1])))
            fail(L"a process did not get the event");
    }
    if (WaitForSingleObject(started.hProcess, PATIENCE) != WAIT_OBJECT_0) {
        TerminateProcess(started.hProcess, 96);
        return fail(L"the program does not end");
    }
    GetExitCodeProcess(started.hProcess, &code);
    return (int)code;
}
